package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/chatidentity/chatidentity/bench/performance/load"
	"github.com/chatidentity/chatidentity/bench/performance/page"
)

var (
	openRates  = []int{200, 3_000, 8_000, 20_000}
	openRounds = 3
	openLength = 2 * time.Second // of one measurement: 400 calls at the lowest rate
)

// plottedRate is the rate whose latencies are drawn.
const plottedRate = 3_000

// measureOpen calls at times that do not depend on the answers, as users do.
func (b *bench) measureOpen(ctx context.Context) error {
	contenders, err := b.startMain(true)
	if err != nil {
		return err
	}
	var lanes []*lane
	for _, rate := range openRates {
		for _, c := range contenders {
			seed := uint64(0)
			lanes = append(lanes, &lane{
				name: fmt.Sprintf("%s at %d", c.name, rate),
				measure: func(ctx context.Context) (sample, error) {
					seed++
					return c.measure(func(caller load.Caller) (load.Result, error) {
						return load.Open(ctx, caller, float64(rate), openLength, seed)
					})
				},
			})
		}
	}
	disk := &lane{name: "disk", measure: func(context.Context) (sample, error) { return syncs(b.file("disk")) }}
	if err := interleave(ctx, openRounds, append(lanes, disk)); err != nil {
		return err
	}
	b.showOpen(lanes, disk, len(contenders))
	return b.plotOpen(lanes, len(contenders))
}

func (b *bench) showOpen(lanes []*lane, disk *lane, each int) {
	header := []string{"calls/s"}
	var table [][]string
	var tooMany []string
	for i, rate := range openRates {
		row := []string{strconv.Itoa(rate)}
		of := lanes[i*each : (i+1)*each]
		for _, l := range of {
			row = append(row, fmt.Sprintf("%s · %s", l.p50.Text(0), l.p99.Text(0)))
		}
		table = append(table, row)
		if isSaturated(of[0].p50.Median()) {
			tooMany = append(tooMany, row[0])
		}
		b.figures[fmt.Sprintf("open p50 %d", rate)] = of[2].p50.Minus(of[0].p50).Over(disk.p50)
		b.figures[fmt.Sprintf("open p99 %d", rate)] = of[2].p99.Minus(of[0].p99).Over(disk.p50)
		if each > 3 { //nolint:mnd // floor, written, durable, and before
			b.figures[fmt.Sprintf("before p50 %d", rate)] = of[2].p50.Over(of[3].p50)
			b.figures[fmt.Sprintf("before p99 %d", rate)] = of[2].p99.Over(of[3].p99)
		}
	}
	for _, name := range []string{floor, written, durable, before}[:each] {
		header = append(header, name+inMicroseconds)
	}
	b.page.Table("open", header, table)
	b.page.Addf("open", "Appending 1 KiB to a file and `fdatasync` took %s µs in the same rounds.", disk.p50.Text(0))
	if tooMany != nil {
		b.page.Addf("open", "\n%s", saturation(tooMany))
	}
	b.saturated = tooMany
}

func (b *bench) plotOpen(lanes []*lane, each int) error {
	plot := page.Plot{
		Title: fmt.Sprintf("Latency at %d calls a second, open loop", plottedRate),
		X:     "share of the calls that took no longer", Y: "µs", LogX: true, LogY: true,
	}
	// The axis shows how few are slower: 50 %, 10 %, 1 %, 0.1 %.
	for _, slower := range []float64{0.5, 0.1, 0.01, 0.001} {
		plot.XTicks = append(plot.XTicks, page.Tick{At: 1 / slower, Text: fmt.Sprintf("%g %%", 100*(1-slower))})
	}
	at := slices.Index(openRates, plottedRate)
	for i, name := range []string{floor, written, durable, before}[:each] {
		var all load.Result
		for _, s := range lanes[at*each+i].samples {
			all.Latencies = append(all.Latencies, s.result.Latencies...)
		}
		slices.Sort(all.Latencies)
		line := page.Line{Name: name}
		for slower := 0.5; slower >= 0.001; slower /= 1.2 {
			line.Points = append(line.Points, page.Point{X: 1 / slower, Y: all.At(1 - slower)})
		}
		plot.Lines = append(plot.Lines, line)
	}
	return b.plot(&plot, "performance-latency.svg")
}
