package writer

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/audit/reader"
)

// reading is who reads the copy: it may pause, and be gone.
type reading struct {
	buffer

	mu     sync.Mutex
	paused chan struct{} // closed when it goes on; nil: it reads
	err    error
	odd    int // writes that a pipe could tear
}

func (r *reading) Write(p []byte) (int, error) {
	r.mu.Lock()
	paused, err := r.paused, r.err
	if len(p) > maxPipe || !bytes.HasSuffix(p, []byte("\n")) {
		r.odd++
	}
	r.mu.Unlock()
	if paused != nil {
		<-paused
	}
	if err != nil {
		return 0, err
	}
	return r.buffer.Write(p)
}

func (r *reading) set(paused chan struct{}, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.paused, r.err = paused, err
}

// inCopyBubble runs a log with a copy until its end.
func inCopyBubble(t *testing.T, test func(*testing.T, *Log, *reading, *buffer)) (Options, *reading, *buffer) {
	t.Helper()
	o := unhurried(t)
	o.Copy = true
	lines, r := logLines(&o), new(reading)
	o.copyTo = r
	synctest.Test(t, func(t *testing.T) {
		l, err := Open(o)
		mustDo(t, err)
		test(t, l, r, lines)
	})
	return o, r, lines
}

func (r *reading) assertWhole(t *testing.T, o Options) {
	t.Helper()
	file, err := os.ReadFile(o.File)
	mustDo(t, err)
	if got := r.Bytes(); !bytes.Equal(got, file) {
		t.Errorf("the copy has %d bytes, the file %d", len(got), len(file))
	}
	if r.odd > 0 {
		t.Errorf("%d writes could be torn by a pipe", r.odd)
	}
}

// Each durable record is copied to the byte, over restarts too.
func TestCopyIsTheFile(t *testing.T) {
	t.Parallel()
	o, r, _ := inCopyBubble(t, func(t *testing.T, l *Log, _ *reading, _ *buffer) {
		for i := range 300 {
			mustWrite(t, l, fmt.Sprint(i))
		}
		mustDo(t, l.Write(t.Context(), refused("noisy", "RATE_LIMITED")))
		mustClose(t, l)
	})
	r.assertWhole(t, o)
	mustVerify(t, reader.VerifyOptions{Keys: o.Keys}, inMemory("copy", r.Bytes()))
}

// overflow writes records of some 600 bytes until some are missing from the copy.
func overflow(t *testing.T, l *Log) {
	t.Helper()
	for i := 0; metricsOf(t, l)["chatidentity_audit_copy_dropped_records_total"] < 1000; i++ {
		for n := range 500 {
			mustWrite(t, l, fmt.Sprint(i, n))
		}
	}
}

func countOf(text *buffer, what string) int { return strings.Count(text.String(), what) }

const (
	copyBegan = `"part":"audit_copy","event":"outage_began"`
	copyEnded = `"part":"audit_copy","event":"outage_ended"`
)

// A reader that pauses keeps nobody from a token. What is missing from the copy is missing in one piece,
// which the log, a metric and a record of the trail tell.
func TestAReaderOfTheCopyThatPauses(t *testing.T) {
	t.Parallel()
	var dropped float64
	o, r, lines := inCopyBubble(t, func(t *testing.T, l *Log, r *reading, lines *buffer) {
		paused := make(chan struct{})
		mustWrite(t, l, "before")
		synctest.Wait()
		r.set(paused, nil)
		overflow(t, l)
		dropped = metricsOf(t, l)["chatidentity_audit_copy_dropped_records_total"]
		if countOf(lines, copyBegan) != 1 || countOf(lines, copyEnded) != 0 {
			t.Errorf("the log tells: %s", lines)
		}
		r.set(nil, nil)
		close(paused)
		synctest.Wait()
		if countOf(lines, copyBegan) != 1 || countOf(lines, copyEnded) != 1 {
			t.Errorf("the log tells: %s", lines)
		}
		mustWrite(t, l, "after")
		mustClose(t, l)
		if got := metricsOf(t, l)["chatidentity_audit_copied_records_total"]; got != float64(bytes.Count(r.Bytes(), []byte("\n"))) {
			t.Errorf("%v copied records are counted", got)
		}
	})
	if countOf(lines, "audit_copy_incomplete") != 0 {
		t.Errorf("the log tells: %s", lines)
	}
	assertGap(t, o, r.Bytes(), dropped)
	if r.odd > 0 {
		t.Errorf("%d writes could be torn by a pipe", r.odd)
	}
}

// assertGap checks that the copy is the file without one piece, of which a record tells.
func assertGap(t *testing.T, o Options, copied []byte, dropped float64) {
	t.Helper()
	file, err := os.ReadFile(o.File)
	mustDo(t, err)
	all, some := parseLines(t, file), parseLines(t, copied)
	before := 0
	for before < len(some) && bytes.Equal(some[before].Raw, all[before].Raw) {
		before++
	}
	missing := len(all) - len(some)
	for i := before; i < len(some); i++ {
		if !bytes.Equal(some[i].Raw, all[i+missing].Raw) {
			t.Fatalf("line %d of the copy is not line %d of the file: more than one piece is missing", i, i+missing)
		}
	}
	var told []string
	for _, l := range all {
		if l.Text("event") == string(audit.EventCopyGap) {
			told = append(told, l.Text("count"))
		}
	}
	if missing == 0 || float64(missing) != dropped || len(told) != 1 || told[0] != fmt.Sprint(missing) {
		t.Errorf("%d records are missing, %v are counted, the trail tells %q", missing, dropped, told)
	}
	if report := mustVerify(t, reader.VerifyOptions{Keys: o.Keys}, reader.Files(o.File)...); report.Fault != nil {
		t.Errorf("the file: %v", report)
	}
}

// At a clean stop the copy has 2 s to catch up. What is missing then is told in the log and the trail.
func TestCopyAtTheStop(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		pause   time.Duration // of the reader, from the stop on; 0: for good
		takes   time.Duration
		missing bool
	}{
		"it catches up":        {1900 * time.Millisecond, 1900 * time.Millisecond, false},
		"it does not catch up": {0, CopyTimeout, true},
		"it would a bit later": {2100 * time.Millisecond, CopyTimeout, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, r, lines := inCopyBubble(t, func(t *testing.T, l *Log, r *reading, _ *buffer) {
				paused := make(chan struct{})
				synctest.Wait() // the first record is out
				r.set(paused, nil)
				for i := range 20 {
					mustWrite(t, l, fmt.Sprint(i))
				}
				if test.pause > 0 {
					time.AfterFunc(test.pause, func() { close(paused) })
				}
				began := time.Now()
				mustClose(t, l)
				if took := time.Since(began); took != test.takes {
					t.Errorf("the stop takes %v, want %v", took, test.takes)
				}
				if test.pause == 0 {
					close(paused)
				}
				synctest.Wait()
				time.Sleep(time.Second)
			})
			told := countOf(lines, "audit_copy_incomplete")
			if !test.missing {
				r.assertWhole(t, o)
				if told != 0 {
					t.Errorf("the log tells: %s", lines)
				}
				return
			}
			last := readLines(t, o.File)
			if l := last[len(last)-1]; l.Text("event") != string(audit.EventCopyGap) || l.Text("count") != "20" || told != 1 {
				t.Errorf("the trail ends in %s of %d lines; the log tells %d times", l.Raw, len(last), told)
			}
			if report := mustVerify(t, reader.VerifyOptions{Keys: o.Keys}, reader.Files(o.File)...); report.Fault != nil {
				t.Errorf("the file: %v", report)
			}
		})
	}
}

// A gap that ends during the stop is recorded too.
func TestAGapThatEndsAtTheStop(t *testing.T) {
	t.Parallel()
	var dropped float64
	o, r, _ := inCopyBubble(t, func(t *testing.T, l *Log, r *reading, _ *buffer) {
		paused := make(chan struct{})
		r.set(paused, nil)
		overflow(t, l)
		dropped = metricsOf(t, l)["chatidentity_audit_copy_dropped_records_total"]
		time.AfterFunc(time.Second, func() { close(paused) })
		mustClose(t, l)
	})
	// The record of the gap comes after the copy has ended.
	lines := readLines(t, o.File)
	copied := parseLines(t, r.Bytes())
	if last := lines[len(lines)-1]; last.Text("event") != string(audit.EventCopyGap) || last.Text("count") != fmt.Sprint(dropped) {
		t.Errorf("the trail ends in %s, want a gap of %v", last.Raw, dropped)
	}
	if missing := len(lines) - 1 - len(copied); float64(missing) != dropped {
		t.Errorf("%d records are missing, %v are counted", missing, dropped)
	}
}

// A reader that is gone is told at once, and nothing is missing if it comes back in time.
func TestAReaderOfTheCopyThatIsGone(t *testing.T) {
	t.Parallel()
	o, r, _ := inCopyBubble(t, func(t *testing.T, l *Log, r *reading, lines *buffer) {
		r.set(nil, syscall.EPIPE)
		mustWrite(t, l, "a")
		synctest.Wait()
		if countOf(lines, copyBegan) != 1 || countOf(lines, "broken pipe") != 1 {
			t.Errorf("the log tells: %s", lines)
		}
		time.Sleep(5 * time.Second)
		mustWrite(t, l, "b")
		r.set(nil, nil)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if countOf(lines, copyBegan) != 1 || countOf(lines, copyEnded) != 1 {
			t.Errorf("the log tells: %s", lines)
		}
		mustClose(t, l)
	})
	r.assertWhole(t, o)
}
