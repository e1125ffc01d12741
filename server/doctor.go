package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/chatidentity/chatidentity/server/internal/config"
	"github.com/chatidentity/chatidentity/server/internal/process"
)

type doctorCommand struct {
	outputFlag
	config.Serve
}

func newDoctorCommand(console *console) *cobra.Command {
	var c doctorCommand
	return withFlags(&cobra.Command{
		Use:   "doctor",
		Short: "Check a configuration of serve before a rollout.",
		Long: `Give it the flags and the environment of serve, before a rollout, where serve
will run. It changes nothing: it leaves no record, socket or file behind. Beside
a running sidecar it reports that the addresses and the audit file are in use.

The exit code is 0, or 1 when a check failed; warnings do not count. It is 2, as
with serve, when serve would refuse to start.`,
		Example: "chatidentity doctor --secret-file /etc/kustomer/secret --identifier-policy external-id",
		RunE: func(command *cobra.Command, _ []string) error {
			return c.run(command.Context(), console, variables(command.Root()))
		},
	}, append([]config.Group{{Flags: c.flags()}}, c.Flags()...)...)
}

// result is what came of a check.
type result string

const (
	resultOK      result = "ok"
	resultWarning result = "warning" // something may be wrong
	resultFailed  result = "failed"  // serve would not do what it is configured to
)

// finding is one line of doctor. Its detail says what is so and, unless all is
// well, what to do.
type finding struct {
	Check  string `json:"check"`
	Status result `json:"status"`
	Detail string `json:"detail"`
}

type doctorReport struct {
	OK     bool      `json:"ok"`
	Checks []finding `json:"checks"`
}

// findings are the lines of an examination, or of a part of one.
type findings []finding

// examination is the checks of one configuration.
type examination struct {
	findings
	config *config.Serve
	known  map[string]bool // the variables of all flags
}

// run prints what each check found. known are the environment variables of all flags.
func (c *doctorCommand) run(ctx context.Context, console *console, known map[string]bool) error {
	if err := c.Validate(config.TakeSecrets()); err != nil {
		return err
	}
	x := &examination{config: &c.Serve, known: known}
	if err := process.Harden(); err != nil {
		x.warnf("process", "its memory can be read by others of its user: %v", err)
	}
	for _, check := range []func(context.Context){
		x.environment,
		x.sources,
		x.access,
		x.addresses,
		x.audit,
		x.limits,
		x.redis,
	} {
		check(ctx)
	}
	report := doctorReport{OK: x.count(resultFailed) == 0, Checks: x.findings}
	if err := c.print(console, report, x.text()); err != nil {
		return err
	}
	if !report.OK {
		return errNegative
	}
	return nil
}

func (f *findings) okf(check, format string, args ...any) { f.add(resultOK, check, format, args) }

func (f *findings) warnf(check, format string, args ...any) {
	f.add(resultWarning, check, format, args)
}

func (f *findings) failf(check, format string, args ...any) {
	f.add(resultFailed, check, format, args)
}

func (f *findings) add(found result, check, format string, args []any) {
	// A line is a check, whatever an error has in it.
	detail := strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "; ")
	*f = append(*f, finding{check, found, detail})
}

func (f *findings) count(found result) int {
	count := 0
	for _, each := range *f {
		if each.Status == found {
			count++
		}
	}
	return count
}

func (f *findings) text() string {
	var b strings.Builder
	width := 0
	for _, each := range *f {
		width = max(width, len(each.Check))
	}
	for _, each := range *f {
		_, _ = fmt.Fprintf(&b, "%-7s  %-*s  %s\n", each.Status, width, each.Check, each.Detail)
	}
	_, _ = fmt.Fprintf(&b, "%d checks; failed: %d, warnings: %d", len(*f), f.count(resultFailed), f.count(resultWarning))
	return b.String()
}
