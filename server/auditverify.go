package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/audit/reader"
	"github.com/chatidentity/chatidentity/server/internal/config"
)

type auditVerifyCommand struct {
	auditFlags
	Heads             []audit.Head
	FromHead          *audit.Head
	ProgramLog        string
	AllowUnverifiable bool
	outputFlag
}

func newAuditVerifyCommand(console *console) *cobra.Command {
	var c auditVerifyCommand
	return withFlags(&cobra.Command{
		Use:   "verify FILE|DIRECTORY|PATTERN...",
		Short: "Check that audit records are complete, unchanged and in order.",
		Long: `It verifies each log by itself.
` + whichFiles + `
The exit code is 0 when all records are intact. Otherwise it is 1, and the first
fault is shown; it is 2 when a file cannot be read to its end. It is 1 also when
a file is left out that serve put aside because somebody changed it (.altered-,
.untrusted-): look at it, then move it elsewhere. For what this proves and what
it does not, see docs/audit.md.`,
		Example: "chatidentity audit verify --audit-key-file audit.key /var/log/chatidentity",
		RunE: func(command *cobra.Command, args []string) error {
			c.Files = args
			return c.run(command.Context(), console)
		},
	}, config.Group{Flags: slices.Concat([]config.Flag{
		c.keyFlag(),
		config.List(&c.Heads, audit.ParseHead, "head", "SEQ:MAC", "",
			"A head from the program log, which must be among the records. Repeatable."),
		config.Value(&c.FromHead, parseFromHead, "from-head", "SEQ:MAC", "",
			"What the first record must follow, when earlier files are gone."),
		config.Path(&c.ProgramLog, "program-log", "",
			"The log of serve, or - for standard input: its heads must be among the records, "+
				"which follow what it says was deleted."),
		config.Switch(&c.AllowUnverifiable, "allow-unverifiable", "Continue past records whose key is unknown."),
	}, c.flags())})
}

func parseFromHead(text string) (*audit.Head, error) {
	head, err := audit.ParseHead(text)
	return &head, err
}

// verifyReport is what audit verify prints for programs.
type verifyReport struct {
	Log          string   `json:"log,omitempty"` // when there are several
	OK           bool     `json:"ok"`
	Records      uint64   `json:"records"`
	Unverifiable uint64   `json:"unverifiable"`
	OtherLines   uint64   `json:"other_lines"`
	Chains       uint64   `json:"chains"`
	Heads        int      `json:"heads"` // of those that were given, found
	FromSeq      uint64   `json:"from_seq,omitempty"`
	Gone         uint64   `json:"gone,omitempty"` // between --from-head and from_seq
	First        string   `json:"first,omitempty"`
	Last         string   `json:"last,omitempty"`
	Head         string   `json:"head"`
	Fault        string   `json:"fault,omitempty"`
	FaultFile    string   `json:"fault_file,omitempty"`
	FaultLine    int      `json:"fault_line,omitempty"`
	Detail       string   `json:"detail,omitempty"`
	PutAside     []string `json:"put_aside,omitempty"` // files that somebody changed, left out
	Error        string   `json:"error,omitempty"`     // why a file could not be read to its end
}

// lookAtIt is what to do about files that serve put aside.
const lookAtIt = "serve put it aside because somebody changed it, and it is not verified here: " +
	"look at it, then move it elsewhere"

// run verifies each log.
func (c *auditVerifyCommand) run(ctx context.Context, console *console) error {
	if err := c.readHeads(console.in); err != nil {
		return err
	}
	options, err := c.options()
	if err != nil {
		return err
	}
	logs, err := c.logs(ctx, console)
	if err != nil {
		return err
	}
	if len(c.Heads) > 0 || c.FromHead != nil {
		if err := oneLog(logs, "a head"); err != nil {
			return err
		}
	}
	var failed []error
	for i := range logs {
		name := ""
		if len(logs) > 1 {
			name = logs[i].Name
		}
		if err := c.verify(ctx, console, name, &logs[i], options); err != nil {
			failed = append(failed, err)
		}
	}
	return worst(failed)
}

// worst is the error that decides the exit code: a file that cannot be read, before records that
// are wrong.
func worst(failed []error) error {
	var worst error
	for _, err := range failed {
		if worst == nil || errors.Is(worst, errNegative) {
			worst = err
		}
	}
	return worst
}

// aside names the files that serve put aside, a line for each.
func aside(log *reader.Log) string {
	var b strings.Builder
	for _, file := range log.Aside {
		b.WriteString("\n" + visibleLine(file) + ": " + lookAtIt)
	}
	return b.String()
}

// verify prints what is whole, and the first fault.
func (c *auditVerifyCommand) verify(
	ctx context.Context, console *console, name string, log *reader.Log, options reader.VerifyOptions,
) error {
	bar := newProgressBar(console, log.Sources)
	options.Progress = bar.show
	report, err := reader.Verify(ctx, log.Sources, options)
	bar.done()
	if fault := report.Fault; fault != nil && fault.Kind == reader.FaultMissing && len(log.Aside) > 0 {
		fault.Detail += "; records may be in " + visibleLine(strings.Join(log.Aside, ", ")) +
			": give it by name, before the current file"
	}
	answer := verifyReportOf(name, log, report, err)
	text := report.String() + aside(log)
	if name != "" {
		text = visibleLine(name) + ": " + text
	}
	switch printErr := c.print(console, answer, text); {
	case printErr != nil:
		return printErr
	case err != nil:
		return unreadable(err)
	case !answer.OK:
		return errNegative
	}
	return nil
}

func verifyReportOf(name string, log *reader.Log, report *reader.Report, err error) verifyReport {
	answer := verifyReport{
		Log: name, OK: report.Fault == nil && err == nil && len(log.Aside) == 0,
		Records: report.Records, Unverifiable: report.Unverifiable,
		OtherLines: report.Others, Chains: report.Chains, Heads: report.Heads, FromSeq: report.From, Gone: report.Gone,
		First: report.First, Last: report.Last, Head: report.Head.String(), PutAside: log.Aside,
	}
	if err != nil {
		answer.Error = err.Error()
	}
	switch fault := report.Fault; {
	case fault != nil:
		answer.Fault, answer.Detail = string(fault.Kind), fault.Detail
		answer.FaultFile, answer.FaultLine = fault.File, fault.Line
	case len(log.Aside) > 0:
		answer.Detail = lookAtIt
	}
	return answer
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
