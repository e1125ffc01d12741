package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/chatidentity/chatidentity/bench/performance/load"
	"github.com/chatidentity/chatidentity/bench/performance/stats"
)

const (
	withDeadline = ", calls with a deadline"

	allocationRounds = 3
	allocationLoad   = time.Second
)

// measureAllocations counts, under load, what a call makes the server allocate and ask of the kernel.
func (b *bench) measureAllocations(ctx context.Context) error {
	contenders, err := b.startMain(false)
	if err != nil {
		return err
	}
	for _, c := range contenders[:2] {
		timed, err := load.Dial(c.process.Listen[loopback], 1, customers)
		if err != nil {
			return err
		}
		timed.Deadline = time.Minute
		b.ends = append(b.ends, timed.Close)
		contenders = append(contenders, &contender{name: c.name + withDeadline, process: c.process, caller: timed})
	}
	objects, calls := map[string]stats.Series{}, map[string]stats.Series{}
	for range allocationRounds {
		for _, c := range contenders {
			each, err := c.countsPerCall(ctx)
			if err != nil {
				return err
			}
			objects[c.name] = append(objects[c.name], each.objects)
			calls[c.name] = append(calls[c.name], each.systemCalls)
		}
	}
	b.figures["allocations"] = objects[written]
	b.figures["own allocations"] = objects[written].Minus(objects[floor])
	var table [][]string
	for _, c := range contenders {
		own, like := "", floor
		if strings.HasSuffix(c.name, withDeadline) {
			like = floor + withDeadline
		}
		if c.name != like {
			own = objects[c.name].Minus(objects[like]).Text(1)
		}
		table = append(table, []string{c.name, objects[c.name].Text(1), own, calls[c.name].Text(2)})
	}
	b.page.Table("allocations", []string{
		"", "allocations per call", "of them more than the floor's", "read and write system calls per call",
	}, table)
	return nil
}

type counts struct{ objects, systemCalls float64 }

// countsPerCall counts under load.
func (c *contender) countsPerCall(ctx context.Context) (counts, error) {
	if err := c.warmUp(ctx, inFlight); err != nil {
		return counts{}, err
	}
	before, err := c.counts(ctx)
	if err != nil {
		return counts{}, err
	}
	result, err := load.Closed(ctx, c.caller, inFlight, allocationLoad)
	if err != nil {
		return counts{}, err
	}
	after, err := c.counts(ctx)
	if err != nil {
		return counts{}, err
	}
	n := float64(result.Calls())
	return counts{(after.objects - before.objects) / n, (after.systemCalls - before.systemCalls) / n}, nil
}

func (c *contender) counts(ctx context.Context) (counts, error) {
	systemCalls, err := c.process.SystemCalls()
	if err != nil {
		return counts{}, err
	}
	if c.process.Admin == "" {
		grpc, isGRPC := c.caller.(*load.GRPC)
		if !isGRPC {
			return counts{}, fmt.Errorf("%s does not count its allocations", c.name)
		}
		objects, err := grpc.Mallocs(ctx)
		return counts{objects, systemCalls}, err
	}
	series, err := c.process.Metrics()
	return counts{series["go_memstats_mallocs_total"], systemCalls}, err
}

var (
	signed   = regexp.MustCompile(`(?m)^BenchmarkSign\S*\s+\d+\s+([\d.]+) ns/op\s+\d+ B/op\s+(\d+) allocs/op`)
	tenMega  = regexp.MustCompile(`10000000 customers\s+(\d+) KiB`)
	perMicro = 1e3
)

// measureRooms runs those benchmarks of single rooms that have a target.
func (b *bench) measureRooms(ctx context.Context) error {
	text, err := b.goBenchmark(ctx, "^BenchmarkSign$", "./server/internal/token", "-benchmem", "-count=7")
	if err != nil {
		return err
	}
	for _, line := range signed.FindAllStringSubmatch(text, -1) {
		nanoseconds, err := strconv.ParseFloat(line[1], 64)
		if err != nil {
			return err
		}
		allocations, err := strconv.ParseFloat(line[2], 64)
		if err != nil {
			return err
		}
		b.figures["sign"] = append(b.figures["sign"], nanoseconds/perMicro)
		b.figures["sign allocations"] = append(b.figures["sign allocations"], allocations)
	}
	text, err = b.goBenchmark(ctx, "^BenchmarkLocalMemory$", "./server/internal/ratelimit", "-benchtime=1x")
	if err != nil {
		return err
	}
	found := tenMega.FindStringSubmatch(text)
	if len(found) == 0 || len(b.figures["sign"]) == 0 {
		return fmt.Errorf("the benchmarks of the rooms printed something else:\n%s", text)
	}
	kibibytes, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		return err
	}
	b.figures["customers"] = stats.Series{kibibytes / 1024}
	b.page.Addf("rooms", "Signing one token takes %s µs and %.0f allocations. After ten million customers, each of "+
		"whom has a budget in use, the limits' table holds %.0f MiB more than when it was empty.",
		b.figures["sign"].Text(2), b.figures["sign allocations"].Median(), kibibytes/1024)
	return nil
}

func (b *bench) goBenchmark(ctx context.Context, pattern, room string, more ...string) (string, error) {
	args := append([]string{"test", "-run=^$", "-bench=" + pattern}, append(more, room)...)
	command := exec.CommandContext(ctx, "go", args...)
	command.Dir = b.repository
	output, err := command.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, output)
	}
	return string(output), nil
}
