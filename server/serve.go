package main

import (
	"context"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/chatidentity/chatidentity/server/internal/config"
	"github.com/chatidentity/chatidentity/server/internal/process"
)

type serveCommand struct {
	config.Serve
}

func newServeCommand(console *console) *cobra.Command {
	var c serveCommand
	return withFlags(&cobra.Command{
		Use:   "serve",
		Short: "Run the sidecar.",
		Long: `It serves until SIGTERM or SIGINT. SIGHUP reloads the secret and rotates the
audit file.`,
		Example: `chatidentity serve --secret-file /etc/kustomer/secret
KUSTOMER_SECRET_KEY=... chatidentity serve --identifier-policy external-id`,
		PersistentPreRunE: completeFlags,
		RunE: func(command *cobra.Command, _ []string) error {
			return c.run(command.Context(), console, originsOf(command))
		},
	}, c.Flags()...)
}

// run serves until a signal.
func (c *serveCommand) run(ctx context.Context, console *console, origins config.Origins) error {
	if err := serveSupported(); err != nil {
		return err
	}
	if err := c.Validate(origins, config.TakeSecrets()); err != nil {
		return err
	}
	log := process.OpenLog(console.err, c.NewLogger)
	defer log.Close()
	logNotices(log, c.Blank(), c.Idle(), c.Exposed())
	if err := process.Harden(); err != nil {
		log.Warn("not hardened", "event", "hardening_failed", "error", err.Error())
	}
	sidecar, err := openSidecar(ctx, &c.Serve, log)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal(ctx, sidecar)
	defer stop()
	return sidecar.run(ctx)
}

// logNotices warns of what serve starts with all the same.
func logNotices(log *process.Log, notices ...[]config.Notice) {
	for _, notice := range slices.Concat(notices...) {
		log.Warn(notice.Text, "event", "configuration_notice", "setting", notice.Setting)
	}
}

// untilSignal returns a context that ends at SIGTERM or SIGINT; a second signal kills the process. At
// SIGHUP the sidecar reloads.
func untilSignal(ctx context.Context, sidecar *sidecar) (context.Context, context.CancelFunc) {
	signal.Ignore(syscall.SIGPIPE) // serve on when nobody reads the log any more
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	context.AfterFunc(ctx, stop)
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	go func() {
		for range hangups { // until the process ends: unhandled, SIGHUP would kill it while it drains
			sidecar.hangup(ctx)
		}
	}()
	return ctx, stop
}
