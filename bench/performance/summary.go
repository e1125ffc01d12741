package main

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/chatidentity/chatidentity/bench/performance/page"
	"github.com/chatidentity/chatidentity/bench/performance/stats"
)

// internals is the page for those who work on the code, beside the page for all.
func internals(path string) string {
	return filepath.Join(filepath.Dir(path), "performance-internals.md")
}

// summarize writes the lines at the top of the page. They are made of its tables, so they cannot
// say anything else, whichever sections a run has measured.
func summarize(path string) error {
	d, text, err := summaryOf(path)
	if err != nil {
		return fmt.Errorf("sum up %s: %w", path, err)
	}
	d, err = d.Put("summary", text)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, []byte(d), 0o644)
}

// summaryOf returns the page and what its summary must be.
func summaryOf(path string) (page.Document, string, error) {
	all, err := os.ReadFile(path)
	if err != nil {
		return "", "", err
	}
	t := tables{page: page.Document(all)}
	lines := t.latency() + t.cpu() + t.memory() + t.durability() + t.size()
	return t.page, page.Wrap("Medians of the last run:\n\n" + strings.TrimSuffix(lines, "\n")), t.err
}

// tables reads cells of the page and keeps the first error.
type tables struct {
	page page.Document
	err  error
}

// at returns the medians of a cell: two of one like "1.0 (0.9–1.1) · 2.0".
func (t *tables) at(block, column string, row ...string) (float64, float64) {
	cell, err := t.page.Cell(block, column, row...)
	if t.err != nil || err != nil {
		t.err = cmp.Or(t.err, err)
		return 0, 0
	}
	left, right, two := strings.Cut(cell, " · ")
	first, err := stats.Parse(left)
	second := first
	if err == nil && two {
		second, err = stats.Parse(right)
	}
	t.err = cmp.Or(t.err, err)
	return first.Median, second.Median
}

// alone is the row of one call at a time.
var alone = []string{"loopback", "1", "1"}

func (t *tables) latency() string {
	one, most := t.at("calls", durable+inMicroseconds, alone...)
	rate := strconv.Itoa(plottedRate)
	many, manyMost := t.at("open", durable+inMicroseconds, rate)
	stock, _ := t.at("calls", floor+inMicroseconds, alone...)
	stockMany, _ := t.at("open", floor+inMicroseconds, rate)
	return fmt.Sprintf("- **Latency,** as a backend on the same machine sees it: %s ms (p99 %s ms) with one call at a "+
		"time, %s ms (p99 %s ms) with %s calls a second at random times. A stock gRPC server that answers with a "+
		"constant takes %s and %s ms.\n",
		ms(one), ms(most), ms(many), ms(manyMost), hundreds(plottedRate), ms(stock), ms(stockMany))
}

func (t *tables) cpu() string {
	rate, _ := t.at("cores", "durable, calls/s", "1")
	cost, _ := t.at("cores", "durable, µs per call", "1")
	stock, _ := t.at("calls", "floor, µs", alone...)
	ratio, _ := t.at("calls", "durable ÷ floor", alone...)
	const usual, thousandth, hundredth = 200, 1e-3, 1e-4 // of a core, in µs a second
	lonely := stock * ratio
	return fmt.Sprintf("- **CPU** of the sidecar: limited to one core, it answers %s calls a second, 64 in flight, and "+
		"keeps %.0f %% of the core busy: %s ms a call. A call that comes alone costs about %s ms, because it wakes the "+
		"process and syncs its record by itself. So %d calls a second, the default limit of one caller, take between "+
		"%.0f and %.0f millicores.\n",
		hundreds(rate), rate*cost*hundredth, ms(cost), ms(lonely), usual, usual*cost*thousandth, usual*lonely*thousandth)
}

func (t *tables) memory() string {
	idle, _ := t.at("footprint", "idle, MiB", "chatidentity")
	loaded, _ := t.at("footprint", "under load, at most, MiB", "chatidentity")
	connected, _ := t.at("connections", "most resident, MiB: written · floor", "1024")
	return fmt.Sprintf("- **Memory:** %.0f MiB idle; at most %.0f MiB with 64 calls in flight, and %.0f MiB if these "+
		"come over 1,024 connections.\n", idle, loaded, connected)
}

func (t *tables) durability() string {
	with, _ := t.at("calls", durable+inMicroseconds, alone...)
	without, _ := t.at("calls", written+inMicroseconds, alone...)
	rate, _ := t.at("cores", "written, calls/s", "1")
	saved, _ := t.at("parts", "saves, µs", "record synced")
	return fmt.Sprintf("- **A durable audit,** the default, adds %s ms to the latency of one call at a time, which waits "+
		"for its `fdatasync`, and %s ms of CPU to each call with 64 in flight. With `--audit-sync off` one core answers %s "+
		"calls a second.\n", ms(with-without), ms(-saved), hundreds(rate))
}

func (t *tables) size() string {
	start, _ := t.at("footprint", "start to first token, ms", "chatidentity")
	binary, _ := t.at("footprint", "binary, MB", "chatidentity")
	packed, _ := t.at("footprint", "with gzip, MB", "chatidentity")
	return fmt.Sprintf("- **Start and size:** %.0f ms from start to first token. The program is %.1f MB, %.1f MB with "+
		"gzip. The image holds it and CA certificates; CI keeps it under 8 MB compressed.\n", start, binary, packed)
}

// ms makes milliseconds of microseconds, with as many decimals as say something.
func ms(microseconds float64) string {
	value, decimals := microseconds/1e3, 3
	for bound := 0.1; bound <= math.Abs(value) && decimals > 0; bound *= 10 {
		decimals--
	}
	return fmt.Sprintf("%.*f", decimals, value)
}

// hundreds rounds to them.
func hundreds(value float64) string {
	const hundred, thousand = 100, 1000
	rounded := int(math.Round(value/hundred)) * hundred
	if rounded < thousand {
		return strconv.Itoa(rounded)
	}
	return fmt.Sprintf("%d,%03d", rounded/thousand, rounded%thousand)
}
