package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/chatidentity/chatidentity/server/internal/config"
)

type waitCommand struct {
	Strict bool
	healthCommand
}

// pause is how long wait pauses between two questions.
const pause = 100 * time.Millisecond

func newWaitCommand(console *console) *cobra.Command {
	var c waitCommand
	calling := c.flags()
	for i := range calling.Flags {
		if flag := &calling.Flags[i]; flag.Name == "timeout" {
			flag.Default, flag.Help = "10s", "How long to wait in all."
		}
	}
	return withFlags(&cobra.Command{
		Use:   "wait",
		Short: "Wait until a running sidecar would issue a token.",
		Long: `For what starts beside the sidecar without Kubernetes' order of native sidecars:
a service of compose, a job, or the postStart hook of an ordinary sidecar, which
keeps the next container from starting until it returns.

The exit code is 0 when the sidecar would issue a token. At the deadline it is 0
too, with a warning: a postStart hook that fails would keep the app from running.
With --strict it is then 1.`,
		Example: "chatidentity wait --timeout 10s",
		RunE:    func(command *cobra.Command, _ []string) error { return c.run(command.Context(), console) },
	}, config.Group{Flags: []config.Flag{
		config.Switch(&c.Strict, "strict", "Exit with code 1 when the sidecar would not issue a token by then."),
	}}, calling)
}

// run prints the answer yes, or why there was none in time.
func (c *waitCommand) run(ctx context.Context, console *console) error {
	answer, err := c.await(ctx, console)
	switch {
	case errors.Is(err, config.ErrUsage):
		return err
	case err != nil:
		return c.giveUp(console, err)
	default:
		return c.print(console, answer, answer.Status)
	}
}

// await asks until the answer is yes or the time is up.
func (c *waitCommand) await(ctx context.Context, console *console) (healthAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	defer console.waitingFor(fmt.Sprintf("the sidecar at %v, at most %v", c.Address, c.Timeout))()
	quiet := *console
	quiet.err = io.Discard // it has been said what it waits for
	deadline, _ := ctx.Deadline()
	var last error
	for {
		answer, err := c.ask(ctx, &quiet)
		switch {
		case errors.Is(err, config.ErrUsage):
			return answer, err
		case err == nil && answer.serving():
			return answer, nil
		case err == nil:
			last = errNotServing
		case last == nil || time.Now().Before(deadline): // an error of the deadline says less than the one before
			last = err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return answer, last
		}
	}
}

var errNotServing = errors.New("the sidecar answers NOT_SERVING; its log and /readyz say why")

func (c *waitCommand) giveUp(console *console, last error) error {
	err := fmt.Errorf("no token would be issued after %v: %w", c.Timeout, last)
	if c.Strict {
		return err
	}
	_, err = fmt.Fprintf(console.err, "chatidentity: warning: %v\n", err)
	return err
}
