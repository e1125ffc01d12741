package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/chatidentity/chatidentity/bench/performance/load"
	"github.com/chatidentity/chatidentity/bench/performance/process"
)

// customers are in rotation: one fixed customer would flatter every cache.
const customers = 20_000

// contender is a running program and who calls it.
type contender struct {
	name    string
	process *process.Process
	caller  load.Caller
}

// sample is what one measurement found.
type sample struct {
	cpu      float64 // the server's, in microseconds per call
	rate     float64 // calls per second
	p50, p99 float64 // microseconds
	memory   float64 // MiB, of sections that speak of it
	result   load.Result
}

// measure puts a load on the contender.
func (c *contender) measure(put func(load.Caller) (load.Result, error)) (sample, error) {
	before, err := c.process.CPU()
	if err != nil {
		return sample{}, err
	}
	result, err := put(c.caller)
	if err != nil {
		return sample{}, err
	}
	after, err := c.process.CPU()
	if err != nil {
		return sample{}, err
	}
	spent := float64((after - before).Nanoseconds()) / float64(time.Microsecond)
	return sample{
		cpu: spent / float64(result.Calls()), rate: result.Rate(), p50: result.At(0.5), p99: result.At(0.99), result: result,
	}, nil
}

// warmUp comes before each measurement: the generator and the contender have just done something
// else, or nothing, and their stacks and batches take a moment to grow.
func (c *contender) warmUp(ctx context.Context, inFlight int) error {
	_, err := load.Closed(ctx, c.caller, inFlight, 50*time.Millisecond)
	return err
}

// closed keeps calls in flight.
func (c *contender) closed(ctx context.Context, inFlight int, length time.Duration) (sample, error) {
	if err := c.warmUp(ctx, inFlight); err != nil {
		return sample{}, err
	}
	return c.measure(func(caller load.Caller) (load.Result, error) {
		return load.Closed(ctx, caller, inFlight, length)
	})
}

// start runs a program until the end of the section, and calls it over loopback, one connection.
func (b *bench) start(name string, command process.Command) (*contender, error) {
	p, err := process.Start(command)
	if err != nil {
		return nil, err
	}
	b.ends = append(b.ends, p.Stop)
	return b.connect(&contender{name: name, process: p}, loopback, 1)
}

// connect returns the contender, called over that listener and so many connections.
func (b *bench) connect(c *contender, listener, connections int) (*contender, error) {
	caller, err := load.Dial(c.process.Listen[listener], connections, customers)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	b.ends = append(b.ends, caller.Close)
	return &contender{name: c.name, process: c.process, caller: caller}, nil
}

// endSection stops and closes all that the section has started, the last first.
func (b *bench) endSection() error {
	var errs []error
	for _, end := range slices.Backward(b.ends) {
		errs = append(errs, end())
	}
	b.ends = nil
	return errors.Join(errs...)
}

// The listeners of every program, in this order.
const (
	loopback = iota
	unixSocket
)

func (b *bench) listeners(name string) string { return "127.0.0.1:0,unix:" + b.file(name+".sock") }

// bareCommand runs the floor.
func (b *bench) bareCommand(name string, more ...string) process.Command {
	return process.Command{Args: append([]string{b.floor, "--listen", b.listeners(name)}, more...)}
}

// sidecarCommand runs a sidecar with everything on: three limits that let the load pass, and a strict
// audit into a chained file, written before the reply. More flags change that.
func (b *bench) sidecarCommand(program, name string, more ...string) process.Command {
	return process.Command{
		Env: []string{"CHATIDENTITY_INSTANCE=bench"},
		Args: append([]string{
			program, "serve", "--secret-file", b.file("secret"),
			"--listen", b.listeners(name), "--admin-listen", "127.0.0.1:0", "--allow-uid", strconv.Itoa(os.Getuid()),
			"--audit-file", b.file(name + ".jsonl"), "--audit-key-file", b.file("audit.key"),
			"--audit-sync", "off", "--audit-max-size", "100GiB",
			"--limit-global", "1000000/s", "--limit-caller", "1000000/s", "--limit-customer", "1000/s:1000000",
		}, more...),
	}
}
