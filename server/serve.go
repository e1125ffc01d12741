package main

import (
	"context"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/chatidentity/chatidentity/server/internal/config"
	"github.com/chatidentity/chatidentity/server/internal/process"
)

type serveCommand struct {
	config.Serve
}

const serveName = "serve"

func newServeCommand(console *console) *cobra.Command {
	var c serveCommand
	return withFlags(&cobra.Command{
		Use:   serveName,
		Short: "Run the sidecar.",
		Long: `It serves until SIGTERM or SIGINT, or until the terminal that it runs in closes.
Any other SIGHUP reloads the secret and rotates the audit file.`,
		Example: `chatidentity serve --secret-file /etc/kustomer/secret
KUSTOMER_SECRET_KEY=... chatidentity serve --identifier-policy external-id`,
		PersistentPreRunE: completeFlags,
		RunE: func(command *cobra.Command, _ []string) error {
			misspelt := config.Misspelt(variables(command.Root()), os.Environ())
			return c.run(command.Context(), console, originsOf(command), misspelt)
		},
	}, c.Flags()...)
}

// run serves until a signal.
func (c *serveCommand) run(
	ctx context.Context, console *console, origins config.Origins, misspelt []config.Notice,
) error {
	if err := serveSupported(); err != nil {
		return err
	}
	ctx = console.untilSignal(ctx)
	if err := c.Validate(origins, config.TakeSecrets()); err != nil {
		return err
	}
	log := process.OpenLog(console.err, c.NewLogger)
	defer log.Close()
	logNotices(log, c.Blank(), misspelt, c.Idle(), c.Exposed())
	if err := process.Harden(); err != nil {
		log.Warn("not hardened", "event", "hardening_failed", "error", err.Error())
	}
	// A stop during the start is one in good order.
	sidecar, err := openSidecar(context.WithoutCancel(ctx), &c.Serve, log, time.Now)
	if err != nil {
		return err
	}
	go console.signals.reload(sidecar)
	return sidecar.run(ctx)
}

// logNotices warns of what serve starts with all the same.
func logNotices(log *process.Log, notices ...[]config.Notice) {
	for _, notice := range slices.Concat(notices...) {
		log.Warn(notice.Text, "event", "configuration_notice", "setting", notice.Setting)
	}
}
