package writer

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/audit/reader"
)

// faulty is a real file that can be told to fail or hang.
type faulty struct {
	file

	ctl *faults
}

// faults is how the files of one log fail; the zero value: they do not.
type faults struct {
	mu        sync.Mutex
	short     int // bytes that a write takes before it fails, while writeErr is set
	writeErr  error
	syncErr   error
	truncErr  error
	hang      chan struct{} // a sync waits for it to be closed
	syncs     atomic.Int64
	syncFails atomic.Int64
}

func (c *faults) set(change func(*faults)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(c)
}

func (c *faults) open(path string) (file, error) {
	f, err := osDisk{}.openLog(path, create)
	return &faulty{f, c}, err
}

func (f *faulty) Write(p []byte) (int, error) {
	f.ctl.mu.Lock()
	err, short := f.ctl.writeErr, f.ctl.short
	f.ctl.mu.Unlock()
	if err == nil {
		return f.file.Write(p)
	}
	n, _ := f.file.Write(p[:min(short, len(p))])
	return n, err
}

func (f *faulty) Truncate(n int64) error {
	f.ctl.mu.Lock()
	err := f.ctl.truncErr
	f.ctl.mu.Unlock()
	if err != nil {
		return err
	}
	return f.file.Truncate(n)
}

func (f *faulty) Sync() error {
	f.ctl.mu.Lock()
	err, hang := f.ctl.syncErr, f.ctl.hang
	f.ctl.mu.Unlock()
	if hang != nil {
		<-hang
	}
	f.ctl.syncs.Add(1)
	if err != nil {
		f.ctl.syncFails.Add(1)
		return err
	}
	return f.file.Sync()
}

func withFaults(o Options) (Options, *faults) {
	ctl := new(faults)
	o.disk = stubDisk{log: ctl.open}
	return o, ctl
}

// digests returns the digest of each token that the file has a record of.
func digests(t *testing.T, paths ...string) map[string]int {
	t.Helper()
	found := map[string]int{}
	for _, path := range paths {
		for _, l := range readLines(t, path) {
			if d := l.Text("token_sha256"); d != "" {
				found[d]++
			}
		}
	}
	return found
}

func mustWrite(t *testing.T, l *Log, digest string) {
	t.Helper()
	if err := l.Write(t.Context(), issued(digest)); err != nil {
		t.Fatalf("Write: %v", err)
	}
}

func mustRefuse(t *testing.T, l *Log, digest string) error {
	t.Helper()
	err := l.Write(t.Context(), issued(digest))
	if !errors.Is(err, ErrUnavailable) {
		t.Fatalf("Write = %v, want ErrUnavailable", err)
	}
	return err
}

// inBubble runs a test in a synctest bubble with a log to which "before" has been written, and
// closes the log.
func inBubble(t *testing.T, o Options, test func(*testing.T, *Log)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		mustWrite(t, l, "before")
		test(t, l)
		mustClose(t, l)
	})
}

// TestFailuresRefuseAndRecover breaks the file in each way, checks that calls are refused, repairs
// it, and checks that the log recovers by itself, with a whole chain and no record twice.
func TestFailuresRefuseAndRecover(t *testing.T) {
	t.Parallel()
	eio := errors.New("input/output error")
	for _, c := range []struct {
		name  string
		fault func(*faults)
	}{
		{"a sync that fails", func(f *faults) { f.syncErr = eio }},
		{"a full disk", func(f *faults) { f.writeErr = syscall.ENOSPC }},
		{"a full disk in the middle of a line", func(f *faults) { f.writeErr, f.short = syscall.ENOSPC, 100 }},
		{"a failed write that cannot be cut back", func(f *faults) { f.writeErr, f.short, f.truncErr = eio, 100, eio }},
		{"a failed sync that cannot be cut back", func(f *faults) { f.syncErr, f.truncErr = eio, eio }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o, ctl := withFaults(testOptions(t))
			inBubble(t, o, func(t *testing.T, l *Log) {
				ctl.set(c.fault)
				begin := time.Now()
				mustRefuse(t, l, "during-1")
				if err := l.Available(); !errors.Is(err, ErrUnavailable) {
					t.Fatalf("Available = %v", err)
				}
				mustRefuse(t, l, "during-2")
				if took := time.Since(begin); took != 0 {
					t.Fatalf("the refusals took %v, not known to be needed", took)
				}
				time.Sleep(10 * time.Second) // of the bubble
				mustRefuse(t, l, "during-3")
				ctl.set(func(f *faults) { f.writeErr, f.syncErr, f.truncErr = nil, nil, nil })
				time.Sleep(time.Second)
				if err := l.Available(); err != nil {
					t.Fatalf("a second after it was mended: %v", err)
				}
				mustWrite(t, l, "after")
			})
			r := mustVerify(t, reader.VerifyOptions{Keys: o.Keys}, reader.Files(o.File)...)
			if r.Fault != nil {
				t.Fatal(r.Fault)
			}
			// A record may stand for a token that never left: that of the failed write.
			if d := digests(t, o.File); d["before"] != 1 || d["during-1"] != 1 || d["after"] != 1 || len(d) != 3 {
				t.Fatalf("records: %v", d)
			}
		})
	}
}

func TestHangingSyncIsBounded(t *testing.T) {
	t.Parallel()
	o, ctl := withFaults(testOptions(t))
	inBubble(t, o, func(t *testing.T, l *Log) {
		hang := make(chan struct{})
		ctl.set(func(f *faults) { f.hang = hang })
		begin := time.Now()
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { mustRefuse(t, l, "during") })
		}
		wg.Wait()
		if took := time.Since(begin); took != o.Timeout && took != DefaultTimeout {
			t.Fatalf("calls waited %v", took)
		}
		time.Sleep(time.Millisecond)
		begin = time.Now()
		if err := l.Available(); err == nil {
			t.Fatal("available while the sync hangs")
		}
		mustRefuse(t, l, "later")
		if took := time.Since(begin); took != 0 {
			t.Fatalf("a later call waited %v", took)
		}
		// A call with less patience than the log is refused when it ends.
		ctl.set(func(f *faults) { f.hang = nil })
		close(hang)
		synctest.Wait()
		if err := l.Available(); err != nil {
			t.Fatalf("after the sync returned: %v", err)
		}
		mustWrite(t, l, "after")
	})
	if r := mustVerify(t, reader.VerifyOptions{Keys: o.Keys}, reader.Files(o.File)...); r.Fault != nil {
		t.Fatal(r.Fault)
	}
	if d := digests(t, o.File); d["later"] != 0 || d["after"] != 1 {
		t.Fatalf("records: %v", d)
	}
}

func TestCallMayEndBeforeTheTimeout(t *testing.T) {
	t.Parallel()
	o, ctl := withFaults(testOptions(t))
	inBubble(t, o, func(t *testing.T, l *Log) {
		hang := make(chan struct{})
		ctl.set(func(f *faults) { f.hang = hang })
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		err := l.Write(ctx, issued("during"))
		if !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Write = %v", err)
		}
		if err := l.Available(); err != nil {
			t.Fatalf("one impatient call made the log unavailable: %v", err)
		}
		close(hang)
	})
}

func TestCloseGivesUpOnAHangingSink(t *testing.T) {
	t.Parallel()
	o, ctl := withFaults(testOptions(t))
	inBubble(t, o, func(t *testing.T, l *Log) {
		hang := make(chan struct{})
		ctl.set(func(f *faults) { f.hang = hang })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		l.Write(ctx, refused("x", "RATE_LIMITED"))
		if err := l.Close(ctx); !errors.Is(err, ErrUnavailable) {
			t.Fatalf("Close = %v", err)
		}
		close(hang)
	})
}

// TestFailureRefusesThoseWhoJoinedMeanwhile: a call that came during a write that then failed is
// refused at once too.
func TestFailureRefusesThoseWhoJoinedMeanwhile(t *testing.T) {
	t.Parallel()
	o, ctl := withFaults(testOptions(t))
	inBubble(t, o, func(t *testing.T, l *Log) {
		hang := make(chan struct{})
		ctl.set(func(f *faults) { f.hang, f.syncErr = hang, syscall.EIO })
		begin := time.Now()
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { mustRefuse(t, l, "during") })
			synctest.Wait() // the second one joins while the first one's sync hangs
		}
		time.Sleep(100 * time.Millisecond)
		ctl.set(func(f *faults) { f.hang = nil })
		close(hang)
		wg.Wait()
		if took := time.Since(begin); took != 100*time.Millisecond {
			t.Errorf("they waited %v", took)
		}
		ctl.set(func(f *faults) { f.syncErr = nil })
		time.Sleep(time.Second)
		mustWrite(t, l, "after")
	})
}
