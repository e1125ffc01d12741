package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/chatidentity/chatidentity/server/internal/config"
	"github.com/chatidentity/chatidentity/server/internal/policy"
)

type doctorCommand struct {
	outputFlag
	config.Serve
}

func (doctorCommand) Help() string {
	return "Give it the flags and the environment of serve, before a rollout and where serve will run. It changes nothing: no record, no socket, " +
		"no file stays. Beside a running sidecar it says that the addresses and the audit file are in use.\n\n" +
		"Exit code 0, or 1 when a check failed; warnings do not count. What serve would refuse to start with has exit code 2, as there.\n\n" +
		"Example:\n  chatidentity doctor --secret-file /etc/kustomer/secret --identifier-policy external-id"
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
	policy *policy.Policy // nil: there is no policy file
	known  *kong.Node     // the command line, with the variables of its flags
}

// Run prints what each check found.
func (c *doctorCommand) Run(ctx context.Context, app *kong.Kong, console *console) error {
	if err := c.Validate(config.TakeSecrets()); err != nil {
		return err
	}
	x := &examination{config: &c.Serve, policy: c.Policy(), known: app.Model.Node}
	if err := harden(); err != nil {
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
		return errSaid
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
