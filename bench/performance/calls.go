package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/chatidentity/chatidentity/bench/performance/page"
	"github.com/chatidentity/chatidentity/bench/performance/stats"
)

// way is how the calls of a row come in.
type way struct {
	name        string
	listener    int
	connections int
	inFlight    int
}

var ways = []way{
	{"loopback", loopback, 1, 1},
	{"loopback", loopback, 1, 64},
	{"loopback", loopback, 1, 512},
	{"loopback", loopback, 16, 64},
	{"loopback", loopback, 16, 512},
	{"unix", unixSocket, 1, 1},
	{"unix", unixSocket, 1, 64},
	{"unix", unixSocket, 1, 512},
	{"unix", unixSocket, 16, 64},
	{"unix", unixSocket, 16, 512},
}

// main reports whether the row is one that the targets speak of.
func (w way) isMain() bool { return w.listener == loopback && w.connections == 1 }

// The contenders of most sections. The floor runs twice: what it costs against itself is the error
// of the ratios beside it.
const (
	floor   = "floor"
	again   = "floor again"
	written = "written"
	durable = "durable"
	before  = "before"
)

// startMain starts the floor, and the sidecar with the record written and with it synced.
func (b *bench) startMain(withBefore bool) ([]*contender, error) {
	commands := []named{
		{floor, b.bareCommand(floor)},
		{written, b.sidecarCommand(b.sidecar, written)},
		{durable, b.sidecarCommand(b.sidecar, durable, "--audit-sync", "on")},
	}
	if withBefore && b.before != "" {
		commands = append(commands, named{before, b.sidecarCommand(b.before, before, "--audit-sync", "on")})
	}
	return b.startAll(commands)
}

// inMicroseconds ends the name of a column of latencies.
const inMicroseconds = ", p50 · p99 in µs"

// rows are the lanes of one way: by contender.
type rows map[string]*lane

func (b *bench) measureCalls(ctx context.Context) error {
	commands := []named{
		{floor, b.bareCommand("floor")},
		{again, b.bareCommand("again")},
		{written, b.sidecarCommand(b.sidecar, written)},
		{durable, b.sidecarCommand(b.sidecar, durable, "--audit-sync", "on")},
	}
	if b.before != "" {
		commands = append(commands,
			named{before + " " + written, b.sidecarCommand(b.before, "before-written")},
			named{before + " " + durable, b.sidecarCommand(b.before, "before-durable", "--audit-sync", "on")})
	}
	contenders, err := b.startAll(commands)
	if err != nil {
		return err
	}
	table := make([]rows, len(ways))
	var lanes []*lane
	for i, w := range ways {
		table[i] = rows{}
		for _, c := range contenders {
			// All of them have the same connections, even those that are not measured there: how large
			// Go makes a new stack depends on all goroutines.
			connected, err := b.connect(c, w.listener, w.connections)
			if err != nil {
				return err
			}
			if c.name != floor && c.name != written && c.name != durable && !w.isMain() {
				continue
			}
			l := &lane{name: c.name, measure: func(ctx context.Context) (sample, error) {
				return connected.closed(ctx, w.inFlight, b.length)
			}}
			table[i][c.name], lanes = l, append(lanes, l)
		}
	}
	disk := &lane{name: "disk", measure: func(context.Context) (sample, error) { return syncs(b.file("disk")) }}
	if err := interleave(ctx, b.rounds, append(lanes, disk)); err != nil {
		return err
	}
	b.showCalls(table, disk.p50)
	return b.plotCalls(table)
}

// syncs appends 1 KiB to a file and syncs it, some 50 times.
func syncs(path string) (sample, error) {
	const times, size = 50, 1024
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return sample{}, err
	}
	defer file.Close() //nolint:errcheck // it is synced
	var took stats.Series
	for range times {
		began := time.Now()
		if _, err := file.Write(make([]byte, size)); err != nil {
			return sample{}, err
		}
		if err := unix.Fdatasync(int(file.Fd())); err != nil {
			return sample{}, err
		}
		took = append(took, float64(time.Since(began).Nanoseconds())/float64(time.Microsecond))
	}
	return sample{p50: took.Median(), p99: took.At(0.99)}, nil
}

func (b *bench) showCalls(table []rows, disk stats.Series) {
	var costs, speeds [][]string
	for i, w := range ways {
		r := table[i]
		over := func(name string) string {
			if r[name] == nil {
				return ""
			}
			return r[name].cpu.Over(r[floor].cpu).Text(2)
		}
		place := []string{w.name, strconv.Itoa(w.connections), strconv.Itoa(w.inFlight)}
		cost := append(slices.Clone(place), r[floor].cpu.Text(1), over(again), over(written), over(durable))
		if b.before != "" {
			cost = append(cost, over(before+" "+written), over(before+" "+durable))
		}
		costs = append(costs, cost)
		speed := place
		for _, name := range []string{floor, written, durable} {
			speed = append(speed, r[name].rate.Text(0), fmt.Sprintf("%.0f · %.0f", r[name].p50.Median(), r[name].p99.Median()))
		}
		speeds = append(speeds, speed)
		if !w.isMain() {
			continue
		}
		at := strconv.Itoa(w.inFlight)
		for _, name := range []string{again, written, durable} {
			b.figures[name+" "+at] = r[name].cpu.Over(r[floor].cpu)
		}
		b.figures["syncs "+at] = r[durable].p50.Minus(r[floor].p50).Over(disk)
	}
	header := []string{
		"way in", "connections", "in flight", "floor, µs", "floor again ÷ floor", "written ÷ floor", "durable ÷ floor",
	}
	if b.before != "" {
		header = append(header, "before, written ÷ floor", "before, durable ÷ floor")
	}
	b.page.Addf("calls", "CPU of the server per call:\n")
	b.page.Table("calls", header, costs)
	b.page.Addf("calls", "Calls per second, and the latency that the caller sees:\n")
	header = []string{"way in", "connections", "in flight"}
	for _, name := range []string{floor, written, durable} {
		header = append(header, name+", calls/s", name+inMicroseconds)
	}
	b.page.Table("calls", header, speeds)
	b.page.Addf("calls", "Appending 1 KiB to a file and `fdatasync` took %s µs in the same rounds.", disk.Text(0))
}

func (b *bench) plotCalls(table []rows) error {
	plot := page.Plot{
		Title: "CPU per call, loopback, one connection (bars: quartiles of the rounds)",
		X:     "calls in flight", Y: "server CPU, µs per call", LogX: true, LogY: true,
	}
	for _, name := range []string{floor, written, durable} {
		line := page.Line{Name: name}
		for i, w := range ways {
			if w.isMain() {
				cpu := table[i][name].cpu
				line.Points = append(line.Points, page.Point{
					X: float64(w.inFlight), Y: cpu.Median(), Low: cpu.At(0.25), High: cpu.At(0.75),
				})
			}
		}
		plot.Lines = append(plot.Lines, line)
	}
	for _, inFlight := range []int{1, 64, 512} {
		plot.XTicks = append(plot.XTicks, page.Tick{At: float64(inFlight), Text: strconv.Itoa(inFlight)})
	}
	return b.plot(&plot, "performance-cpu.svg")
}

// plot writes a plot beside the page.
func (b *bench) plot(plot *page.Plot, name string) error {
	if b.options.page == "" {
		return nil
	}
	return plot.Write(filepath.Join(b.repository, filepath.Dir(b.options.page), name))
}
