package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/audit/reader"
	"github.com/chatidentity/chatidentity/server/internal/config"
	"github.com/chatidentity/chatidentity/server/internal/token"
)

func newAuditCommands(console *console) *cobra.Command {
	audits := &cobra.Command{
		Use:     "audit",
		Short:   "Verify and search audit records.",
		Example: "chatidentity audit verify --audit-key-file audit.key audit*.jsonl",
	}
	audits.AddCommand(newAuditVerifyCommand(console), newAuditFindCommand(console))
	return audits
}

// auditFlags are those of both commands.
type auditFlags struct {
	Files        []string
	AuditKeyFile string
}

func (f *auditFlags) keyFlag() config.Flag {
	return config.String(&f.AuditKeyFile, "audit-key-file", "PATH", "",
		"The audit keys that serve uses; older ones below the current one.")
}

// keys returns the keys, and an error for a file that cannot be read: exit code
// 1 is for records that are wrong.
func (f *auditFlags) keys() ([]*audit.Key, error) {
	for _, path := range f.Files {
		if _, err := os.Stat(path); err != nil && path != "-" {
			return nil, config.Usage("audit file: %v", err)
		}
	}
	if f.AuditKeyFile == "" {
		return nil, nil
	}
	return config.ReadAuditKeys(f.AuditKeyFile)
}

type auditVerifyCommand struct {
	auditFlags
	Heads             []audit.Head
	FromHead          *audit.Head
	AllowUnverifiable bool
	outputFlag
}

func newAuditVerifyCommand(console *console) *cobra.Command {
	var c auditVerifyCommand
	return withFlags(&cobra.Command{
		Use:   "verify FILE...",
		Short: "Check that audit records are complete, unchanged and in order.",
		Long: `Give the audit files in the order in which they were written. They may be
gzipped, and may be container logs; - is standard input.

The exit code is 0 when all records are intact. Otherwise it is 1, and the first
fault is shown. For what this proves and what it does not, see docs/audit.md.`,
		Example: "chatidentity audit verify --audit-key-file audit.key audit*.jsonl",
		RunE: func(command *cobra.Command, args []string) error {
			c.Files = args
			return c.run(command.Context(), console)
		},
	}, config.Group{Flags: slices.Concat([]config.Flag{
		c.keyFlag(),
		{
			Name: "head", Placeholder: "SEQ:MAC", Set: c.addHeads,
			Help: "A head from the program log, which must be among the records. Repeatable.",
		},
		{
			Name: "from-head", Placeholder: "SEQ:MAC", Set: c.setFromHead,
			Help: "What the first record follows, when earlier files are gone.",
		},
		config.Switch(&c.AllowUnverifiable, "allow-unverifiable", "Continue past records whose key is unknown."),
	}, c.flags())})
}

// addHeads takes no empty one for none: it asks for a check.
func (c *auditVerifyCommand) addHeads(text string) error {
	for part := range strings.SplitSeq(text, ",") {
		head, err := audit.ParseHead(part)
		if err != nil {
			return err
		}
		c.Heads = append(c.Heads, head)
	}
	return nil
}

func (c *auditVerifyCommand) setFromHead(text string) error {
	head, err := audit.ParseHead(text)
	c.FromHead = &head
	return err
}

// verifyReport is what audit verify prints for programs.
type verifyReport struct {
	OK           bool   `json:"ok"`
	Records      uint64 `json:"records"`
	Unverifiable uint64 `json:"unverifiable"`
	Chains       uint64 `json:"chains"`
	First        string `json:"first,omitempty"`
	Last         string `json:"last,omitempty"`
	Head         string `json:"head"`
	Fault        string `json:"fault,omitempty"`
	FaultFile    string `json:"fault_file,omitempty"`
	FaultLine    int    `json:"fault_line,omitempty"`
	Detail       string `json:"detail,omitempty"`
}

// run prints what is whole, and the first place that is not.
func (c *auditVerifyCommand) run(ctx context.Context, console *console) error {
	options, err := c.options()
	if err != nil {
		return err
	}
	bar := newProgressBar(console, c.Files)
	options.Progress = bar.show
	report, err := reader.Verify(ctx, reader.Files(c.Files...), options)
	bar.done()
	if err != nil {
		return err
	}
	answer := verifyReport{
		OK: report.Fault == nil, Records: report.Records, Unverifiable: report.Unverifiable, Chains: report.Chains,
		First: report.First, Last: report.Last, Head: report.Head.String(),
	}
	if fault := report.Fault; fault != nil {
		answer.Fault, answer.FaultFile, answer.FaultLine, answer.Detail = string(fault.Kind), fault.File, fault.Line, fault.Detail
	}
	if err := c.print(console, answer, report.String()); err != nil {
		return err
	}
	if report.Fault != nil {
		return errNegative
	}
	return nil
}

func (c *auditVerifyCommand) options() (reader.VerifyOptions, error) {
	keys, err := c.keys()
	if err != nil {
		return reader.VerifyOptions{}, err
	}
	options := reader.VerifyOptions{Keys: keys, Heads: c.Heads, From: c.FromHead, AllowUnverifiable: c.AllowUnverifiable}
	if len(keys) == 0 && !c.AllowUnverifiable {
		return options, config.Usage("audit verify needs --audit-key-file: without the key nothing can be verified")
	}
	return options, nil
}

type auditFindCommand struct {
	auditFlags
	Email      *string
	ExternalID *string
	Token      string
	AuditID    string
	Caller     string
	Since      time.Time
	Output     string
}

func newAuditFindCommand(console *console) *cobra.Command {
	var c auditFindCommand
	return withFlags(&cobra.Command{
		Use:   "find FILE...",
		Short: "Find the audit records of a person, token, call or caller.",
		Long: `It prints the records that match everything that is given, and does not verify
them: see audit verify. The files may be gzipped, and may be container logs; -
is standard input. The exit code is 0 even when nothing matches.`,
		Example: "chatidentity audit find --audit-key-file audit.key --email ada@example.com audit.jsonl",
		RunE: func(command *cobra.Command, args []string) error {
			c.Files = args
			return c.run(command.Context(), console)
		},
	}, config.Group{Flags: []config.Flag{
		c.keyFlag(),
		config.Value(&c.Email, given, "email", "ADDRESS", "", "Records of this person; needs --audit-key-file."),
		config.Value(&c.ExternalID, given, "external-id", "ID", "", "Records of this person; needs --audit-key-file."),
		config.String(&c.Token, "token", "-", "", "Records of the token on standard input."),
		config.String(&c.AuditID, "audit-id", "ID", "", "The record of this call."),
		config.String(&c.Caller, "caller", "NAME", "", "Records of this caller, such as loopback or uid:1000."),
		config.Value(&c.Since, parseTime, "since", "TIME", "", "Records from this time on, such as 2026-11-23T00:00:00Z."),
		config.Value(&c.Output, config.OneOf(outputAuto, "table", "json"), "output", "FORMAT", outputAuto,
			"table, json (the lines as they are), or auto: a table on a terminal and JSON elsewhere."),
	}})
}

// given tells a person that is empty from none.
func given(text string) (*string, error) { return &text, nil }

func parseTime(text string) (time.Time, error) {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, fmt.Errorf("%q must be a time such as 2026-11-23T00:00:00Z", text)
	}
	return at, nil
}

// run prints the records that match, and on standard error what was read.
func (c *auditFindCommand) run(ctx context.Context, console *console) error {
	keys, err := c.keys()
	if err != nil {
		return err
	}
	query, err := c.query(console.in)
	if err != nil {
		return err
	}
	output := reader.OutputJSON
	if c.Output == "table" || c.Output == outputAuto && console.terminal {
		output = reader.OutputTable
	}
	bar := newProgressBar(console, c.Files)
	found, err := reader.Find(ctx, reader.Files(c.Files...), query, reader.FindOptions{Keys: keys, Output: output, Progress: bar.show}, console.out)
	bar.done()
	if err != nil {
		return err
	}
	said := fmt.Sprintf("%d of %d records match", found.Matches, found.Records)
	if found.Unknown > 0 {
		said += fmt.Sprintf("; %d are under keys that are not known, where nobody can be searched for", found.Unknown)
	}
	if found.Unreadable > 0 {
		said += fmt.Sprintf("; %d lines are no records", found.Unreadable)
	}
	_, err = fmt.Fprintln(console.err, said)
	return err
}

func (c *auditFindCommand) query(stdin io.Reader) (reader.Query, error) {
	query := reader.Query{Values: map[string]string{}, Since: c.Since}
	for field, value := range map[string]string{"audit_id": c.AuditID, "caller": c.Caller} {
		if value != "" {
			query.Values[field] = value
		}
	}
	for _, person := range []struct {
		flag, field string
		given       *string
	}{{"--email", "email_hmac", c.Email}, {"--external-id", "external_id_hmac", c.ExternalID}} {
		switch {
		case person.given == nil:
		case *person.given == "":
			return query, config.Usage("%s is empty: give the value to search for, or leave the flag out", person.flag)
		case c.AuditKeyFile == "":
			return query, config.Usage("%s needs --audit-key-file: records hold keyed pseudonyms and no names", person.flag)
		default:
			query.Values[person.field] = *person.given
		}
	}
	switch {
	case c.Token == "-":
		text, err := io.ReadAll(io.LimitReader(stdin, maxTokenInput))
		if err != nil {
			return query, fmt.Errorf("read the token from standard input: %w", err)
		}
		query.Values["token_sha256"] = token.Digest(strings.TrimSpace(string(text)))
	case c.Token != "":
		return query, config.Usage("--token takes - alone: write the token to standard input, where others do not see it")
	case len(query.Values) == 0 && query.Since.IsZero():
		return query, config.Usage("audit find: for what? give --email, --external-id, --token -, --audit-id, --caller or --since")
	}
	return query, nil
}

// progressBar shows on a terminal how much of the files has been read, and at
// the end everywhere how fast.
type progressBar struct {
	console *console
	total   int64
	began   time.Time
	live    bool
	lines   uint64
}

func newProgressBar(console *console, files []string) *progressBar {
	bar := &progressBar{console: console, began: time.Now()}
	if file, ok := console.err.(*os.File); ok {
		bar.live = term.IsTerminal(int(file.Fd()))
	}
	for _, path := range files {
		if info, err := os.Stat(path); err == nil {
			bar.total += info.Size()
		}
	}
	return bar
}

func (b *progressBar) show(bytes int64, lines uint64) {
	b.lines = lines
	if !b.live {
		return
	}
	const width = 30
	filled := width
	if b.total > 0 { // gzipped files hold more than their size
		filled = int(min(bytes*width/b.total, width))
	}
	_, _ = fmt.Fprintf(b.console.err, "\r[%s%s] %d records", strings.Repeat("#", filled), strings.Repeat(" ", width-filled), lines)
}

func (b *progressBar) done() {
	if b.live {
		_, _ = fmt.Fprint(b.console.err, "\r\x1b[K")
	}
	seconds := time.Since(b.began).Seconds()
	if b.lines == 0 || seconds < 1 { // too little to tell a speed
		return
	}
	_, _ = fmt.Fprintf(b.console.err, "%d lines read in %.1f s, %.0f a second\n", b.lines, seconds, float64(b.lines)/seconds)
}
