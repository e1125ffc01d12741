package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/chatidentity/chatidentity/server/internal/admin"
	"github.com/chatidentity/chatidentity/server/internal/config"
)

type reloadCommand struct {
	PID          int
	AdminAddress config.Address
	Timeout      time.Duration
}

func newReloadCommand(console *console) *cobra.Command {
	var c reloadCommand
	return withFlags(&cobra.Command{
		Use:   "reload",
		Short: "Have the sidecar beside this command reload, and show what its log says.",
		Long: `It sends SIGHUP, for which the image has no kill: the sidecar reads its files
anew, asks Kustomer's API for the secret and rotates the audit file. Then it
prints the lines of the sidecar's log until the reload has ended.

The exit code is 0 when everything is as configured, and 1 when something could
not be reloaded, or the sidecar was not found or did not answer in time.`,
		Example: "kubectl exec POD -c chatidentity -- chatidentity reload",
		RunE:    func(command *cobra.Command, _ []string) error { return c.run(command.Context(), console) },
	}, config.Group{Flags: []config.Flag{
		config.Value(&c.PID, parsePID, "pid", "N", "1", "The sidecar's process; in its container it is 1."),
		adminAddress(&c.AdminAddress, config.DefaultAdminListen, "Where the sidecar has its --admin-listen, over loopback."),
		config.Duration(&c.Timeout, "timeout", "20s", "How long to wait for the end of the reload."),
	}})
}

func adminAddress(to *config.Address, otherwise, help string) config.Flag {
	return config.Value(to, config.ParseAddress, "admin-address", "ADDRESS", otherwise, help)
}

func (c *reloadCommand) run(ctx context.Context, console *console) error {
	if err := checkTimeout(c.Timeout); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	before, err := c.ask(ctx)
	if err != nil {
		return err
	}
	if before.PID != c.PID {
		return fmt.Errorf("--pid %d: the sidecar at %v is process %d", c.PID, c.AdminAddress, before.PID)
	}
	if err := c.hangUp(); err != nil {
		return err
	}
	defer console.waitingFor(fmt.Sprintf("the end of the reload, at most %v", c.Timeout))()
	return c.follow(ctx, console, before.Number)
}

func parsePID(text string) (int, error) {
	pid, err := strconv.Atoi(text)
	if err != nil || pid < 1 {
		return 0, fmt.Errorf("%q must be the number of a process", text)
	}
	return pid, nil
}

// hangUp signals the process that has just said that it is the sidecar: to another program SIGHUP
// may mean its end.
func (c *reloadCommand) hangUp() error {
	process, err := os.FindProcess(c.PID)
	if err == nil {
		err = process.Signal(syscall.SIGHUP)
	}
	if err != nil {
		return fmt.Errorf("--pid %d: %w", c.PID, err)
	}
	return nil
}

func (c *reloadCommand) ask(ctx context.Context) (admin.Reload, error) {
	var answer admin.Reload
	status, body, err := getAdmin(ctx, c.AdminAddress, "/reload")
	if err != nil {
		return answer, err
	}
	if status == http.StatusForbidden {
		return answer, fmt.Errorf("--admin-address %v answers only over loopback", c.AdminAddress)
	}
	if status != http.StatusOK {
		return answer, noAdminListener(c.AdminAddress, status)
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return answer, fmt.Errorf("--admin-address %v: no answer of a sidecar: %w", c.AdminAddress, err)
	}
	return answer, nil
}

// follow prints the lines of a reload after that number, as they come, until it has ended.
func (c *reloadCommand) follow(ctx context.Context, console *console, number uint64) error {
	printed := 0
	for {
		answer, err := c.ask(ctx)
		if err != nil {
			return err
		}
		if answer.Number > number {
			if err := printLines(console, answer.Log[min(printed, len(answer.Log)):]); err != nil {
				return err
			}
			printed = len(answer.Log)
			if answer.Ended && answer.Failed {
				return errNegative
			}
			if answer.Ended {
				return nil
			}
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fmt.Errorf("the reload has not ended after %v", c.Timeout)
		}
	}
}

func printLines(console *console, lines []string) error {
	for _, line := range lines {
		if _, err := fmt.Fprintln(console.out, visibleLine(line)); err != nil {
			return err
		}
	}
	return nil
}
