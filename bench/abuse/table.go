package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

const tableHead = "| attack | door | as whom | connections | good calls | late | p50 · p99, ms (before) | " +
	"fresh connections | probes | again after | peak, MiB | counted as | logged | sent · closed by the server | " +
	"verdict |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"

// busy is a p99 of good calls that no attack has made.
const busy = 50 * time.Millisecond

func line(r row, m result, faults []string) string {
	name, _, _ := strings.Cut(r.name(), ",")
	if r.stop {
		return fmt.Sprintf("| %s | %s | %s | %d | | | | | | | | | | | %s |",
			name, r.door, r.who, r.connections, judged(m, faults))
	}
	connections := strconv.Itoa(r.connections)
	if r.users > 1 {
		connections = fmt.Sprintf("%d × %d", r.users, r.connections)
	}
	cells := []string{
		name, string(r.door), string(r.who), connections,
		of(m.steady), strconv.Itoa(m.steady.late), latency(m.steady) + " (" + latency(m.quiet) + ")",
		of(m.fresh), of(m.probe), again(m), strconv.FormatInt(m.peak>>20, 10),
		counts(m.refused), counts(m.logged),
		sent(m), judged(m, faults),
	}
	return "| " + strings.Join(cells, " | ") + " |"
}

func of(s summary) string {
	if s.sent == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d", s.ok, s.sent)
}

func latency(s summary) string { return ms(s.p50) + " · " + ms(s.p99) }

func ms(d time.Duration) string { return strconv.FormatFloat(d.Seconds()*1000, 'f', 1, 64) }

func again(m result) string {
	if m.killed > 0 {
		return "never"
	}
	return m.again.Round(10 * time.Millisecond).String()
}

func sent(m result) string {
	if m.killed > 0 { // the attackers with it
		return ""
	}
	return fmt.Sprintf("%d · %d of %d", m.report.Sent, m.report.Closed, m.report.Connected)
}

// counts joins kinds and how often each was seen.
func counts[N int | float64](seen map[string]N) string {
	kinds := make([]string, 0, len(seen))
	for _, kind := range slices.Sorted(maps.Keys(seen)) {
		kinds = append(kinds, fmt.Sprintf("%s %.0f", kind, float64(seen[kind])))
	}
	return strings.Join(kinds, ", ")
}

func judged(m result, faults []string) string {
	if m.killed > 0 {
		faults = append([]string{"**killed** after " + m.killed.Round(100*time.Millisecond).String()}, faults[1:]...)
	}
	if m.quiet.p99 > busy {
		faults = append(slices.Clone(faults), "(the machine was busy before)")
	}
	if m.heap[0] > 0 {
		faults = append(slices.Clone(faults), fmt.Sprintf("(heap %.1f → %.1f MiB)", m.heap[0]/(1<<20), m.heap[1]/(1<<20)))
	}
	if len(faults) == 0 && m.stopped > 0 {
		return "ok: stopped after " + m.stopped.Round(10*time.Millisecond).String()
	}
	if len(faults) == 0 {
		return "ok"
	}
	return strings.Join(faults, ", ")
}
