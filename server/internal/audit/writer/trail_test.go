package writer

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

// linesByAuditID returns how many lines have each audit ID.
func linesByAuditID(lines []*audit.Line) map[string]int {
	ids := map[string]int{}
	for _, l := range lines {
		ids[l.Text("audit_id")]++
	}
	return ids
}

// TestFloodLeavesALineForEachAuditIDAndFewASecond: 100,000 refusals and verifications of every kind
// that one caller can bring about, over ten seconds.
func TestFloodLeavesALineForEachAuditIDAndFewASecond(t *testing.T) {
	t.Parallel()
	const calls, seconds, mostASecond = 100_000, 10, 24
	o, out := withBuffer(testOptions(t))
	given := map[string]int{}
	synctest.Test(t, func(t *testing.T) {
		l, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		kinds := []string{"INVALID_CUSTOMER", "UNKNOWN_ORGANIZATION", "CALLER_DENIED", "USER_UNPROVEN", "USER_MISMATCH", "RATE_LIMITED"}
		for i := range calls {
			r := refused("noisy", kinds[i%len(kinds)])
			if i%2 == 0 {
				r.Event = audit.EventVerify
			}
			r.AuditID = audit.NewID(time.Now(), nil)
			mustDo(t, l.Write(t.Context(), r))
			given[r.AuditID]++
			time.Sleep(seconds * time.Second / calls)
		}
		mustClose(t, l)
	})
	lines := parseLines(t, out.Bytes())
	if most := (seconds + 1) * mostASecond; len(lines) > most {
		t.Errorf("%d lines in %d seconds, want at most %d", len(lines), seconds, most)
	}
	written := linesByAuditID(lines)
	for id, times := range given {
		if written[id] != 1 {
			t.Errorf("%s, given to %d calls, has %d lines", id, times, written[id])
		}
	}
	records, counted := count(lines, audit.EventRefused)
	if own := len(lines) - records - 1; own+counted != calls {
		t.Errorf("%d records and %d counted calls, of %d", own, counted, calls)
	}
}

// TestAuditIDsOfCallsThatTheSinkDidNotTake: their token is refused before there is a record, and
// their audit ID leads to the summary of those refusals.
func TestAuditIDsOfCallsThatTheSinkDidNotTake(t *testing.T) {
	t.Parallel()
	o, ctl := withFaults(testOptions(t))
	var given []string
	inBubble(t, o, func(t *testing.T, l *Log) {
		ctl.set(func(f *faults) { f.writeErr = syscall.ENOSPC })
		for i := range 5 {
			r := issued(fmt.Sprint("during-", i))
			if l.Write(t.Context(), r) == nil {
				t.Fatal("it was taken")
			}
			given = append(given, r.AuditID)
			time.Sleep(300 * time.Millisecond)
		}
		ctl.set(func(f *faults) { f.writeErr = nil })
		time.Sleep(3 * time.Second)
	})
	lines := readLines(t, o.File)
	written := linesByAuditID(lines)
	for i, id := range given {
		if written[id] != 1 {
			t.Errorf("call %d: %s has %d lines", i, id, written[id])
		}
	}
	for _, l := range lines {
		if l.Text("event") == string(audit.EventRefused) &&
			(l.Text("reason") != audit.ReasonUnavailable || l.Text("outcome") != audit.OutcomeUnavailable || l.Text("count") != "4") {
			t.Errorf("summary %s", l.Raw)
		}
	}
}

// TestAFullQueueStillTakesRefusals: a refusal that finds no room is counted with others.
func TestAFullQueueStillTakesRefusals(t *testing.T) {
	t.Parallel()
	o, ctl := withFaults(testOptions(t))
	o.Timeout = time.Hour
	inBubble(t, o, func(t *testing.T, l *Log) {
		hang := make(chan struct{})
		ctl.set(func(f *faults) { f.hang = hang })
		mustDo(t, l.Write(t.Context(), refused("first", "RATE_LIMITED")))
		synctest.Wait() // the sink hangs
		l.queue.mu.Lock()
		l.queue.open.bodies = append(l.queue.open.bodies, strings.Repeat("x", maxOpen)...)
		l.queue.mu.Unlock()
		r := refused("late", "RATE_LIMITED")
		mustDo(t, l.Write(t.Context(), r))
		l.queue.mu.Lock()
		l.queue.open.bodies = l.queue.open.bodies[:0]
		l.queue.mu.Unlock()
		ctl.set(func(f *faults) { f.hang = nil })
		close(hang)
	})
	if _, calls := count(readLines(t, o.File), audit.EventRefused); calls != 1 {
		t.Errorf("%d calls are counted, want 1", calls)
	}
}
