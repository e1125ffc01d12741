package reader

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

// counting is a record of that event with that count.
func counting(event audit.Event, count uint64) *audit.Record {
	r := &audit.Record{
		Event: event, Outcome: "RESOURCE_EXHAUSTED", Reason: "RATE_LIMITED", Caller: "backend", AuditID: "x",
		Count: count, Time: time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC),
	}
	if event == audit.EventRefused {
		r.Summarized = audit.EventIssue
	}
	return r
}

// sealed are the lines of the records.
func sealed(t *testing.T, records ...*audit.Record) []byte {
	t.Helper()
	chain := audit.NewChain(testKey(t, "k1"), audit.Head{})
	var b []byte
	for _, r := range records {
		b = chain.Seal(b, audit.AppendBody(nil, r), 0)
	}
	return b
}

func printed(t *testing.T, s *Summary, zone *time.Location) string {
	t.Helper()
	var out bytes.Buffer
	if err := s.Print(&out, zone); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestSummaryCountsCalls(t *testing.T) {
	t.Parallel()
	file := someRecords(t, "OK", "OK", "UNAVAILABLE", "OK")
	file = append(file, sealed(t, counting(audit.EventRefused, 96))...)
	var summary Summary
	mustFind(t, file, FindOptions{Summary: &summary})
	out := printed(t, &summary, time.UTC)
	_, chart, _ := strings.Cut(out, "calls in steps of ")
	for _, want := range []string{
		"100 calls\n", "outcome               96  RESOURCE_EXHAUSTED\n", "                       3  OK\n",
		"caller               100  backend\n", "organization          96  -\n", "                       4  default\n",
		"2026-11-23 13:", strings.Repeat("#", barWidth) + "  96\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	if bars := strings.Count(chart, "\n") - 1; bars > maxBars || bars < maxBars/2 {
		t.Errorf("%d bars:\n%s", bars, chart)
	}
}

// TestSummaryCountsNothingElse: a chain.start and a copy.gap are no calls, and only a calls.refused
// stands for several.
func TestSummaryCountsNothingElse(t *testing.T) {
	t.Parallel()
	var summary Summary
	mustFind(t, sealed(t, counting(audit.EventStart, 0), counting(audit.EventCopyGap, 1234)), FindOptions{Summary: &summary})
	if out := printed(t, &summary, time.UTC); out != "0 calls\n" {
		t.Errorf("of no calls:\n%s", out)
	}
	mustFind(t, sealed(t, counting(audit.EventIssue, 7), counting(audit.EventRefused, 2)), FindOptions{Summary: &summary})
	if out := printed(t, &summary, time.UTC); !strings.HasPrefix(out, "3 calls\n") || !strings.HasSuffix(out, "#  3\n") {
		t.Errorf("of three calls:\n%s", out)
	}
}

// TestSummaryOfCountsThatNobodyWrote: find does not verify, so a count may be any number.
func TestSummaryOfCountsThatNobodyWrote(t *testing.T) {
	t.Parallel()
	line := sealed(t, counting(audit.EventRefused, 96))
	forged := func(counts ...string) []byte {
		var b []byte
		for _, count := range counts {
			b = append(b, bytes.Replace(line, []byte(`"count":96`), []byte(`"count":`+count), 1)...)
		}
		return b
	}
	for name, test := range map[string]struct {
		file []byte
		want string // the total, and the last bar
	}{
		"nothing":      {forged("0"), "1"},
		"less":         {forged("-5"), "1"},
		"too much":     {forged("18446744073709551615", "99999999999999999999"), "2"},
		"the most":     {forged("4611686018427387904"), "4611686018427387904"},
		"a sum beyond": {forged(slices.Repeat([]string{"4611686018427387904"}, 4)...), strconv.FormatUint(math.MaxUint64, 10)},
	} {
		var summary Summary
		mustFind(t, test.file, FindOptions{Summary: &summary})
		out := printed(t, &summary, time.UTC)
		if !strings.HasPrefix(out, test.want+" calls\n") || !strings.HasSuffix(out, "  "+strings.Repeat("#", barWidth)+"  "+test.want+"\n") {
			t.Errorf("%s:\n%s", name, out)
		}
	}
}
