package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Bounds of what a call may ask of the kernel while 64 are in flight: twice what was measured on a
// busy machine, with the race detector too.
const (
	maxReadsAndWrites = 0.55 // reads and writes of the process, for each call
	maxCommits        = 0.15 // batches of the audit, each with one write and one sync, for each record
)

// Calls in flight share reads, writes and syncs; one that had its own would show here.
func TestCallsShareSystemCalls(t *testing.T) {
	t.Parallel()
	const callers, callsEach = 64, 100
	p := start(t, withSecret("--audit-file", filepath.Join(t.TempDir(), "audit.jsonl"),
		"--audit-timeout", "30s", "--limit-caller", "off", "--limit-customer", "off"))
	client := p.client(t)
	load := func() {
		var running sync.WaitGroup
		for range callers {
			running.Go(func() {
				for n := range callsEach {
					if _, err := client.IssueToken(t.Context(), issueFor("user_"+strconv.Itoa(n), "")); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		running.Wait()
	}
	load() // warms up
	before := p.systemCalls(t)
	load()
	after := p.systemCalls(t)

	calls := float64(callers * callsEach)
	perCall, perRecord := (after.readsAndWrites-before.readsAndWrites)/calls, (after.commits-before.commits)/calls
	t.Logf("%.2f reads and writes for each call, %.3f commits for each record", perCall, perRecord)
	if perCall > maxReadsAndWrites || perRecord > maxCommits {
		t.Errorf("%.2f reads and writes for each call, %.3f commits for each record: want at most %v and %v",
			perCall, perRecord, maxReadsAndWrites, maxCommits)
	}
}

type systemCalls struct{ readsAndWrites, commits float64 }

func (p *running) systemCalls(t *testing.T) systemCalls {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", p.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, metrics := p.get(t, "/metrics")
	return systemCalls{
		readsAndWrites: numberAfter(t, string(text), "syscr: ") + numberAfter(t, string(text), "syscw: "),
		commits:        numberAfter(t, metrics, "\nchatidentity_audit_commit_duration_seconds_count "),
	}
}

// numberAfter returns the number that stands between a text and the end of its line.
func numberAfter(t *testing.T, text, after string) float64 {
	t.Helper()
	_, rest, found := strings.Cut(text, after)
	line, _, _ := strings.Cut(rest, "\n")
	number, err := strconv.ParseFloat(line, 64)
	if !found || err != nil {
		t.Fatalf("no number after %q: %v", after, err)
	}
	return number
}
