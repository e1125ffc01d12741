package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/process"
)

// signals is what people and the system ask of the running program.
type signals struct {
	stop    context.Context //nolint:containedctx // it ends when the program shall
	reloads chan struct{}   // holds one request while nobody has taken it
}

// terminalGoes is when a terminal has gone whose shell has ended: the kernel sends SIGHUP first.
const terminalGoes = time.Second

// ofLife reports whether the command serves until a signal.
func ofLife(args []string) bool {
	return len(args) > 0 && (args[0] == serveName || args[0] == "dev")
}

// catchSignals catches signals from now on. SIGTERM and SIGINT stop the program, and a second one
// kills it. SIGHUP stops it if its terminal has hung up; otherwise it asks for a reload.
func catchSignals(ctx context.Context) *signals {
	isUnderNohup := signal.Ignored(syscall.SIGHUP) // no longer known once it is caught
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	signal.Ignore(syscall.SIGPIPE) // serve on when nobody reads the log any more
	stops := make(chan os.Signal, 2)
	signal.Notify(stops, syscall.SIGTERM, syscall.SIGINT)
	ctx, cancel := context.WithCancel(ctx)
	stop := func() {
		signal.Stop(stops) // before anybody can see that the program stops: the next one kills it
		cancel()
	}
	go func() {
		select {
		case <-stops:
		case <-ctx.Done():
		}
		stop()
		select {
		case second := <-stops: // it came before the first one was taken
			raise(second)
		default:
		}
	}()
	var terminal *process.Terminal
	if !isUnderNohup {
		terminal = process.OpenTerminal()
	}
	s := &signals{stop: ctx, reloads: make(chan struct{}, 1)}
	go func() {
		for range hangups { // until the process ends: unhandled, SIGHUP would kill it while it drains
			if terminal.HasHungUp() {
				stop()
				continue
			}
			select {
			case s.reloads <- struct{}{}:
			default: // one is waiting already
			}
			time.AfterFunc(terminalGoes, func() {
				if terminal.HasHungUp() {
					stop()
				}
			})
		}
	}()
	return s
}

// raise sends the program a signal that it does not catch any more.
func raise(s os.Signal) {
	if self, err := os.FindProcess(os.Getpid()); err == nil {
		_ = self.Signal(s)
	}
}

// untilSignal returns a context that ends with ctx, and when a signal asks the program to stop.
func (c *console) untilSignal(ctx context.Context) context.Context {
	if c.signals == nil {
		c.signals = catchSignals(ctx)
	}
	return c.signals.stop
}

// reload has the sidecar do what SIGHUP asks for, also what it has asked for so far.
func (s *signals) reload(sidecar *sidecar) {
	for range s.reloads {
		sidecar.hangup(s.stop)
	}
}
