package reader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

// someRecords are lines of calls with those outcomes, a minute apart.
func someRecords(t *testing.T, outcomes ...string) []byte {
	t.Helper()
	chain := audit.NewChain(testKey(t, "k1"), audit.Head{})
	var b []byte
	for i, outcome := range outcomes {
		r := issued(digestOf(fmt.Sprint(i)))
		r.Time = time.Date(2026, 11, 23, 12, i, 0, 5_000_000, time.UTC)
		r.AuditID, r.Outcome = fmt.Sprintf("0192d1a0-0000-7000-8000-%012d", i), outcome
		if outcome != audit.OutcomeOK {
			r.Reason = "SECRET_UNAVAILABLE"
		}
		b = chain.Seal(b, audit.AppendBody(nil, r), 0)
	}
	return b
}

func mustFind(t *testing.T, file []byte, o FindOptions) string {
	t.Helper()
	var out bytes.Buffer
	if _, err := Find(t.Context(), []Source{inMemory("f", file)}, of("caller", "backend"), o, &out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestTableFitsTheTerminal: columns that say nothing are left out, and then those that have no room.
func TestTableFitsTheTerminal(t *testing.T) {
	t.Parallel()
	file := someRecords(t, "OK", "UNAVAILABLE", "OK")
	for _, width := range []int{0, 200, 120, 100, 80, 64} {
		out := mustFind(t, file, FindOptions{Output: OutputTable, Width: width})
		lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
		rows := lines[len(lines)-3:]
		for _, row := range lines[len(lines)-4:] {
			if width > 0 && utf8.RuneCountInString(row) > width {
				t.Errorf("%d columns of %d: %q", len(row), width, row)
			}
		}
		for i, row := range rows {
			if !strings.HasPrefix(row, fmt.Sprintf("2026-11-23 12:%02d:00.005", i)) || !strings.HasSuffix(row, fmt.Sprintf("%012d", i)) {
				t.Errorf("width %d: row %q", width, row)
			}
		}
		if strings.Contains(rows[0], "token.issue") || !strings.HasPrefix(out, "all: event token.issue, organization default, identifier email, caller backend\n") {
			t.Errorf("what all rows share is not said once:\n%s", out)
		}
		if hidden := strings.Contains(out, "no room for: "); hidden != (width > 0 && width < 94) {
			t.Errorf("width %d:\n%s", width, out)
		}
	}
}

func TestTableShowsTimesInTheZone(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("HERE", 3*3600)
	out := mustFind(t, someRecords(t, "OK", "OK"), FindOptions{Output: OutputTable, Zone: zone})
	if !strings.Contains(out, "TIME HERE") || !strings.Contains(out, "\n2026-11-23 15:01:00.005") {
		t.Errorf("table:\n%s", out)
	}
	if out := mustFind(t, someRecords(t), FindOptions{Output: OutputTable}); out != "" {
		t.Errorf("a table of nothing: %q", out)
	}
}

// TestALongTableIsStreamed: columns are chosen by the first thousand rows.
func TestALongTableIsStreamed(t *testing.T) {
	t.Parallel()
	outcomes := make([]string, tableAhead+10)
	for i := range outcomes {
		outcomes[i] = "OK"
	}
	out := mustFind(t, someRecords(t, outcomes...), FindOptions{Output: OutputTable})
	if rows := strings.Count(out, "\n") - 2; rows != len(outcomes) {
		t.Errorf("%d rows of %d", rows, len(outcomes))
	}
}

func TestSummaryCountsCalls(t *testing.T) {
	t.Parallel()
	file := someRecords(t, "OK", "OK", "UNAVAILABLE", "OK")
	flood := &audit.Record{
		Event: audit.EventRefused, Outcome: "RESOURCE_EXHAUSTED", Reason: "RATE_LIMITED", Caller: "backend", AuditID: "x",
		Count: 96, Summarized: audit.EventIssue, Time: time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC),
	}
	file = audit.NewChain(testKey(t, "k1"), audit.Head{}).Seal(file, audit.AppendBody(nil, flood), 0)
	var summary Summary
	mustFind(t, file, FindOptions{Summary: &summary})
	var out bytes.Buffer
	if err := summary.Print(&out, time.UTC); err != nil {
		t.Fatal(err)
	}
	_, chart, _ := strings.Cut(out.String(), "calls in steps of ")
	for _, want := range []string{
		"100 calls\n", "outcome               96  RESOURCE_EXHAUSTED\n", "                       3  OK\n",
		"caller               100  backend\n", "organization          96  -\n", "                       4  default\n",
		"2026-11-23 13:", strings.Repeat("#", barWidth) + "  96\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
	if bars := strings.Count(chart, "\n") - 1; bars > maxBars || bars < maxBars/2 {
		t.Errorf("%d bars:\n%s", bars, chart)
	}
}

// TestFollow reads a file as it grows, and the one that takes its place.
func TestFollow(t *testing.T) {
	t.Parallel()
	path := testOptions(t).File
	lines := bytes.SplitAfter(someRecords(t, "OK", "OK", "OK"), []byte("\n"))
	write := func(line []byte) {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err == nil {
			_, err = f.Write(line)
		}
		if err := errors.Join(err, f.Close()); err != nil {
			t.Error(err)
		}
	}
	write(lines[0])
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	rows := 0
	next := []func(){
		func() { write(lines[1][:40]); write(lines[1][40:]) },
		func() {
			if err := os.Rename(path, path+".1"); err != nil {
				t.Error(err)
			}
			write(lines[2])
		},
		cancel,
	}
	written := writerFunc(func(p []byte) (int, error) {
		if bytes.Contains(p, []byte("2026-11-23 ")) {
			next[rows]()
			rows++
		}
		return len(p), nil
	})
	found, err := Find(t.Context(), []Source{Follow(ctx, path)}, of("caller", "backend"),
		FindOptions{Output: OutputTable, Live: true}, written)
	if err != nil || found.Matches != 3 || found.Damaged != 0 {
		t.Errorf("%+v, %v", found, err)
	}
}

type writerFunc func([]byte) (int, error)

func (w writerFunc) Write(p []byte) (int, error) { return w(p) }
