package reader

import (
	"bytes"
	"fmt"
	"slices"
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
		if hidden := strings.Contains(out, "no room for: "); hidden != (width > 0 && width < 95) {
			t.Errorf("width %d:\n%s", width, out)
		}
	}
}

// TestTableShowsTimesInTheZone names the offset in each row: that of its date, not that of today.
func TestTableShowsTimesInTheZone(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	winter, summer := counting(audit.EventIssue, 0), counting(audit.EventIssue, 0)
	winter.Time = time.Date(2026, 1, 23, 12, 0, 0, 5_000_000, time.UTC)
	summer.Time = time.Date(2026, 7, 23, 12, 0, 0, 5_000_000, time.UTC)
	var summary Summary
	out := mustFind(t, sealed(t, winter, summer), FindOptions{Output: OutputTable, Zone: berlin, Summary: &summary})
	for _, want := range []string{"\n2026-01-23 13:00:00.005+01:00  ", "\n2026-07-23 14:00:00.005+02:00  "} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	chart := printed(t, &summary, berlin)
	for _, want := range []string{"\n2026-01-20 23:21:52+01:00  #", "\n2026-07-22 01:25:52+02:00  #"} {
		if !strings.Contains(chart, want) {
			t.Errorf("no %q in:\n%s", want, chart)
		}
	}
	if out := mustFind(t, someRecords(t), FindOptions{Output: OutputTable}); out != "" {
		t.Errorf("a table of nothing: %q", out)
	}
}

// TestALongTableIsStreamed: columns are chosen by the first thousand rows.
func TestALongTableIsStreamed(t *testing.T) {
	t.Parallel()
	outcomes := slices.Repeat([]string{"OK"}, tableAhead+10)
	out := mustFind(t, someRecords(t, outcomes...), FindOptions{Output: OutputTable})
	if rows := strings.Count(out, "\n") - 2; rows != len(outcomes) {
		t.Errorf("%d rows of %d", rows, len(outcomes))
	}
}

// TestARowThatTheHeadIsWrongAbout begins a new head: no row stands under "all: outcome OK" that is
// not, and none loses a value because those before it had none.
func TestARowThatTheHeadIsWrongAbout(t *testing.T) {
	t.Parallel()
	outcomes := slices.Repeat([]string{"OK"}, tableAhead+10)
	outcomes = append(outcomes, "UNAVAILABLE", "OK")
	out := mustFind(t, someRecords(t, outcomes...), FindOptions{Output: OutputTable})
	first, second, again := strings.Cut(out, "\n\n")
	if !again || !strings.HasPrefix(first, "all: event token.issue, outcome OK, ") || strings.Count(first, "\n") != tableAhead+11 {
		t.Fatalf("%d lines before a second head: %t", strings.Count(first, "\n"), again)
	}
	lines := strings.Split(strings.TrimSuffix(second, "\n"), "\n")
	if len(lines) != 4 || strings.Contains(lines[0], "outcome") || !strings.Contains(lines[1], "OUTCOME") ||
		!strings.Contains(lines[2], "UNAVAILABLE  SECRET_UNAVAILABLE") || !strings.Contains(lines[3], "  OK  ") {
		t.Errorf("after it:\n%s", second)
	}
}
