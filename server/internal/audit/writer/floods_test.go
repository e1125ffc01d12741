package writer

import (
	"fmt"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/audit/reader"
)

func count(lines []*audit.Line, event audit.Event) (int, int) {
	records, calls := 0, 0
	for _, l := range lines {
		if l.Text("event") == string(event) {
			records++
			var n int
			_, _ = fmt.Sscan(l.Text("count"), &n)
			calls += n
		}
	}
	return records, calls
}

func TestFloodIsOneRecordAndOneCountASecond(t *testing.T) {
	t.Parallel()
	o, out := withBuffer(testOptions(t))
	synctest.Test(t, func(t *testing.T) {
		l, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 { // seconds
			for range 1000 {
				l.Write(t.Context(), refused("noisy", "RATE_LIMITED"))
			}
			l.Write(t.Context(), refused("quiet", "RATE_LIMITED"))
			l.Write(t.Context(), refused("noisy", "INVALID_CUSTOMER"))
			l.Write(t.Context(), &audit.Record{Event: audit.EventVerify, Outcome: audit.OutcomeOK, Verdict: "ACCEPTED", Caller: "noisy"})
			l.Write(t.Context(), &audit.Record{Event: audit.EventVerify, Outcome: audit.OutcomeOK, Verdict: "EXPIRED", Caller: "noisy"})
			mustWrite(t, l, "aa")
			mustWrite(t, l, "bb")
			time.Sleep(time.Second)
		}
		mustClose(t, l)
	})
	lines := parseLines(t, out.Bytes())
	for event, want := range map[audit.Event]int{audit.EventIssue: 3 * (3 + 2), audit.EventVerify: 3} {
		if got, _ := count(lines, event); got != want {
			t.Errorf("%d records of %s, want %d", got, event, want)
		}
	}
	records, calls := count(lines, audit.EventRefused)
	if records != 6 || calls != 3*(999+1) {
		t.Errorf("%d summaries of %d calls, want 6 of 3000", records, calls)
	}
	for _, l := range lines {
		if l.Text("event") != string(audit.EventRefused) {
			continue
		}
		switch l.Text("summarized_event") {
		case string(audit.EventIssue):
			if l.Text("reason") != "RATE_LIMITED" || l.Text("caller") != "noisy" ||
				l.Text("outcome") != "RESOURCE_EXHAUSTED" || l.Text("count") != "999" {
				t.Errorf("summary: %s", l.Raw)
			}
		case string(audit.EventVerify):
			if l.Text("count") != "1" || l.Text("outcome") != audit.OutcomeOK {
				t.Errorf("summary: %s", l.Raw)
			}
		default:
			t.Errorf("summary of nothing: %s", l.Raw)
		}
	}
	if r := mustVerify(t, reader.VerifyOptions{Keys: o.Keys}, inMemory("f", out.Bytes())); r.Fault != nil {
		t.Fatal(r.Fault)
	}
}

// TestNoRefusalIsLost: whatever their pattern, each refusal has a record or is in a count.
func TestNoRefusalIsLost(t *testing.T) {
	t.Parallel()
	f := newFloods()
	now := time.Unix(1_790_000_000, 0)
	own, counted := 0, uint64(0)
	const calls = 20_000
	for i := range calls {
		r := refused(fmt.Sprint(i*i%600), "RATE_LIMITED") // more callers than are told apart
		if f.admit(now, r, i%5000 < 4000) {
			own++
		}
		now = now.Add(time.Duration(i%7) * time.Millisecond)
		if i%997 == 0 {
			for _, s := range f.collect(now) {
				counted += s.Count
			}
		}
		if len(f.kinds) > maxFloods+1 {
			t.Fatalf("%d kinds are held", len(f.kinds))
		}
	}
	for _, s := range f.collect(now.Add(time.Minute)) {
		counted += s.Count
	}
	if own+int(counted) != calls || own == 0 || counted == 0 {
		t.Fatalf("%d records and %d counted, of %d calls", own, counted, calls)
	}
	if len(f.kinds) != 0 {
		t.Fatalf("%d kinds are held after all is over", len(f.kinds))
	}
}

// TestRefusalsWhileTheSinkIsAway: they are counted in bounded memory, however long that takes, and
// recorded when the sink is back.
func TestRefusalsWhileTheSinkIsAway(t *testing.T) {
	t.Parallel()
	o, ctl := withFaults(testOptions(t))
	inBubble(t, o, func(t *testing.T, l *Log) {
		ctl.set(func(f *faults) { f.writeErr = syscall.ENOSPC })
		mustRefuse(t, l, "during")
		for range 600 { // ten minutes
			for range 10 {
				l.Write(t.Context(), refused("noisy", "AUDIT_UNAVAILABLE"))
			}
			time.Sleep(time.Second)
		}
		l.queue.mu.Lock()
		if held := len(l.queue.open.bodies); held != 0 {
			t.Errorf("%d bytes wait", held)
		}
		l.queue.mu.Unlock()
		ctl.set(func(f *faults) { f.writeErr = nil })
		time.Sleep(3 * time.Second)
	})
	records, calls := count(readLines(t, o.File), audit.EventRefused)
	if records != 1 || calls != 6000 {
		t.Fatalf("%d summaries of %d calls, want 1 of 6000", records, calls)
	}
}

func TestBestEffortNeverHoldsAReplyAndCountsDrops(t *testing.T) {
	t.Parallel()
	o, ctl := withFaults(testOptions(t))
	o.Mode = ModeBestEffort
	const calls = 30_000
	synctest.Test(t, func(t *testing.T) {
		l, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		hang := make(chan struct{})
		ctl.set(func(f *faults) { f.hang = hang })
		begin := time.Now()
		for range calls {
			mustWrite(t, l, "aa")
		}
		if took := time.Since(begin); took != 0 {
			t.Fatalf("calls waited %v", took)
		}
		if err := l.Available(); err != nil {
			t.Fatalf("best effort is always available: %v", err)
		}
		ctl.set(func(f *faults) { f.hang = nil })
		close(hang)
		synctest.Wait()
		mustWrite(t, l, "bb")
		mustClose(t, l)
	})
	written, dropped := 0, 0
	for _, l := range readLines(t, o.File) {
		if l.Text("event") == string(audit.EventIssue) {
			written++
		}
		if d := l.Text("dropped"); d != "" {
			var n int
			_, _ = fmt.Sscan(d, &n)
			dropped += n
		}
	}
	if written+dropped != calls+1 || dropped == 0 {
		t.Fatalf("%d written and %d dropped of %d", written, dropped, calls+1)
	}
	if r := mustVerify(t, reader.VerifyOptions{Keys: o.Keys}, reader.Files(o.File)...); r.Fault != nil {
		t.Fatal(r.Fault)
	}
}

func TestTokensAreNeverSummarized(t *testing.T) {
	t.Parallel()
	o, out := withBuffer(testOptions(t))
	l := mustOpen(t, o)
	for range 100 {
		mustWrite(t, l, "aa")
	}
	mustClose(t, l)
	if got, _ := count(parseLines(t, out.Bytes()), audit.EventIssue); got != 100 {
		t.Fatalf("%d records of 100 tokens", got)
	}
}
