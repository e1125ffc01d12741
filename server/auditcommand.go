package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/audit/reader"
	"github.com/chatidentity/chatidentity/server/internal/config"
	"github.com/chatidentity/chatidentity/server/internal/token"
)

type auditCommands struct {
	Verify auditVerifyCommand `cmd:"" help:"Check that audit records are those that were written, all of them, in order."`
	Find   auditFindCommand   `cmd:"" help:"Print the audit records of a person, a token, a call or a caller."`
}

// auditFlags are those of both commands.
type auditFlags struct {
	Files        []string `arg:"" name:"file" help:"Audit files in the order in which they were written, container logs too; gzipped or not; - is standard input."`
	AuditKeyFile string   `placeholder:"PATH" help:"The audit keys, as serve has them; older ones below the current one."`
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
	Head              []string `sep:"none" placeholder:"SEQ:MAC" help:"A head from the program log, which must be there. Repeatable."`
	FromHead          *string  `placeholder:"SEQ:MAC" help:"What the first record follows, when earlier files are gone."`
	AllowUnverifiable bool     `help:"Go on over records under keys that are not known."`
	outputFlag
}

func (auditVerifyCommand) Help() string {
	return "Exit code 0 when all is whole, 1 when not: the first place that is wrong is named. What this proves, and what not: docs/audit.md.\n\n" +
		"Example:\n  chatidentity audit verify --audit-key-file audit.key audit*.jsonl"
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

// Run prints what is whole, and the first place that is not.
func (c *auditVerifyCommand) Run(ctx context.Context, console *console) error {
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
		return errSaid
	}
	return nil
}

func (c *auditVerifyCommand) options() (reader.VerifyOptions, error) {
	keys, err := c.keys()
	if err != nil {
		return reader.VerifyOptions{}, err
	}
	options := reader.VerifyOptions{Keys: keys, AllowUnverifiable: c.AllowUnverifiable}
	if len(keys) == 0 && !c.AllowUnverifiable {
		return options, config.Usage("audit verify needs --audit-key-file: without the key nothing can be verified")
	}
	for _, text := range c.heads() {
		head, err := audit.ParseHead(text)
		if err != nil {
			return options, config.Usage("--head: %v", err)
		}
		options.Heads = append(options.Heads, head)
	}
	if c.FromHead != nil {
		head, err := audit.ParseHead(*c.FromHead)
		if err != nil {
			return options, config.Usage("--from-head: %v", err)
		}
		options.From = &head
	}
	return options, nil
}

// heads splits at commas, as kong does with other repeatable flags; but kong
// leaves out an empty one, and with it the check that was asked for.
func (c *auditVerifyCommand) heads() []string {
	if c.Head == nil {
		return nil
	}
	return strings.Split(strings.Join(c.Head, ","), ",")
}

type auditFindCommand struct {
	auditFlags
	Email      *string   `placeholder:"ADDRESS" help:"Records of this person; needs --audit-key-file."`
	ExternalID *string   `name:"external-id" placeholder:"ID" help:"Records of this person; needs --audit-key-file."`
	Token      string    `placeholder:"-" help:"Records of the token that is on standard input."`
	AuditID    string    `placeholder:"ID" help:"The record of this call."`
	Caller     string    `placeholder:"NAME" help:"Records of this caller, such as loopback or uid:1000."`
	Since      time.Time `format:"2006-01-02T15:04:05Z07:00" placeholder:"TIME" help:"Records from this time on, such as 2026-11-23T00:00:00Z."`
	Output     string    `default:"auto" enum:"auto,table,json" placeholder:"FORMAT" help:"table, json (the lines as they stand), or auto: a table on a terminal and JSON elsewhere."`
}

func (auditFindCommand) Help() string {
	return "All that is given must match. It does not verify: see audit verify. Exit code 0, also when nothing matches.\n\n" +
		"Example:\n  chatidentity audit find --audit-key-file audit.key --email ada@example.com audit.jsonl"
}

// Run prints the records that match, and on standard error what was read.
func (c *auditFindCommand) Run(ctx context.Context, console *console) error {
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
