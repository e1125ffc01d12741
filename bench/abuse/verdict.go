package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/chatidentity/chatidentity/bench/abuse/bed"
)

// What is expected of every row.
const (
	maxPeak       = 100 << 20 // bytes of the 128
	maxHeapGrowth = 8 << 20
	linesASecond  = 1 // of one kind
	maxStop       = bed.DrainTimeout + 500*time.Millisecond
)

// class is what the good client may notice of an attacker.
type class struct {
	lost float64       // part of the calls
	p99  time.Duration // 0: whatever
}

var classes = map[bed.Who]class{
	bed.Stranger: {0, 50 * time.Millisecond},
	bed.Other:    {0, 100 * time.Millisecond},
	bed.Same:     {0.1, 0},
}

// verdict returns what is not as it must be.
func verdict(r row, m result, short bool) []string {
	var faults []string
	fault := func(bad bool, format string, values ...any) {
		if bad {
			faults = append(faults, fmt.Sprintf(format, values...))
		}
	}
	fault(m.stopped > maxStop, "stopped after %v", m.stopped.Round(10*time.Millisecond))
	if r.stop {
		return faults
	}
	c := classes[r.who]
	fault(m.killed > 0, "killed")
	fault(m.peak > maxPeak, "peak")
	fault(float64(m.steady.lost()) > c.lost*float64(m.steady.sent), "calls lost")
	fault(float64(m.fresh.lost()) > c.lost*float64(m.fresh.sent), "fresh connections lost")
	fault(m.probe.lost() > 0, "probes lost")
	fault(m.killed == 0 && m.after.lost() > 0, "not back within 1 s")
	fault(!short && c.p99 > 0 && m.steady.p99 > c.p99, "p99")
	fault(m.heap[1] > m.heap[0]+maxHeapGrowth, "heap")
	if r.kinds != nil {
		fault(!slices.ContainsFunc(r.kinds, func(kind string) bool { return m.refused[kind] > 0 }), "not counted")
		fault(!slices.ContainsFunc(r.kinds, func(kind string) bool { return m.logged[kind] > 0 }), "not logged")
	}
	for kind, lines := range m.logged {
		fault(float64(lines) > linesASecond*m.seconds+1, "%d log lines of %s", lines, kind)
	}
	return faults
}

// countKinds returns how many lines of a log name each kind.
func countKinds(log []string) map[string]int {
	lines := map[string]int{}
	for _, kind := range allKinds() {
		for _, line := range log {
			if strings.Contains(line, kind) {
				lines[kind]++
			}
		}
	}
	return lines
}

func allKinds() []string {
	var all []string
	for _, r := range rows {
		all = append(all, r.kinds...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// needsRoot reports whether the attacker must be another user than we are.
func (r row) needsRoot() bool { return r.door == bed.Unix && r.attack != "" }
