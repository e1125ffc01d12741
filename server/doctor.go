package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/chatidentity/chatidentity/server/internal/config"
	"github.com/chatidentity/chatidentity/server/internal/doctor"
)

type doctorCommand struct {
	Advice bool
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

The exit code is 0, or 1 when a check failed; warnings do not count. When serve
would refuse to start, it is serve's, and so is the line on standard error. With
--advice it is 0 whatever is found: an init container that fails would keep the
app from starting.`,
		Example:           "chatidentity doctor --secret-file /etc/kustomer/secret --identifier-policy external-id",
		PersistentPreRunE: completeFlags,
		RunE: func(command *cobra.Command, _ []string) error {
			err := c.run(command.Context(), console, originsOf(command), variables(command.Root()))
			if c.Advice {
				_ = report(console, err)
				return nil
			}
			return err
		},
	}, append([]config.Group{{Flags: append(c.flags(),
		config.Switch(&c.Advice, "advice", "Exit with code 0 whatever is found."),
	)}}, c.Flags()...)...)
}

// run prints what each check found. known are the environment variables of all flags.
func (c *doctorCommand) run(
	ctx context.Context, console *console, origins config.Origins, known map[string]bool,
) error {
	if err := c.Validate(origins, config.TakeSecrets()); err != nil {
		return err
	}
	stop := console.waitingFor("checks that ask other servers: Kustomer's API, issuers, Redis")
	report := doctor.Examine(ctx, doctor.Options{Config: &c.Serve, Variables: known})
	stop()
	if err := c.print(console, report, doctorText(&report, columns(console.out))); err != nil {
		return err
	}
	if err := report.Refusal(); err != nil {
		return err
	}
	if !report.OK {
		return errNegative
	}
	return nil
}

// doctorText returns a line a check; its detail is wrapped to the columns of a terminal.
func doctorText(report *doctor.Report, columns int) string {
	var b strings.Builder
	width := 0
	for _, found := range report.Checks {
		width = max(width, len(found.Check))
	}
	for _, found := range report.Checks {
		head := fmt.Sprintf("%-7s  %-*s  ", found.Status, width, found.Check)
		_, _ = b.WriteString(head + wrapped(found.Detail, columns-len(head), len(head)) + "\n")
	}
	_, _ = fmt.Fprintf(&b, "%d checks; failed: %d, warnings: %d",
		len(report.Checks), report.Count(doctor.Failed), report.Count(doctor.Warning))
	return b.String()
}
