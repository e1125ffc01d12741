package secret

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/kustomer"
	"github.com/chatidentity/chatidentity/server/internal/kustomer/standin"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

// Goroutines and file descriptors are back to the start after 1,000 refreshes.
// Counting the process's own, it runs alone: no t.Parallel.
//
//nolint:paralleltest // see above
func TestAThousandRefreshesLeaveNothingBehind(t *testing.T) {
	vendor := standin.New(standin.Options{APIKey: "key", Secret: "secret", CallsPerMinute: 1 << 30})
	address, stop, err := vendor.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	base, err := kustomer.ParseBaseURL(address, "")
	if err != nil {
		t.Fatal(err)
	}
	client, err := kustomer.NewClient(kustomer.Options{
		BaseURL: base, APIKey: func() (sensitive.String, error) { return sensitive.New("key"), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	fromFile, err := NewFile(Options{}, path, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	fromFile.WithoutPauses()
	fromAPI := NewAPI(Options{}, client, APIOptions{})
	fromAPI.WithoutPauses()

	goroutines, descriptors := runtime.NumGoroutine(), openFiles(t)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { Run(ctx, nil, fromAPI, fromFile) })
	for round := range 1000 {
		loads := func() bool {
			return fromAPI.results.counts[resultOK].Load() > uint64(round) && fromFile.results.counts[resultOK].Load() > uint64(round)
		}
		awaitCondition(t, func() bool {
			if loads() {
				return true
			}
			fromAPI.Refresh()
			fromFile.Refresh()
			return false
		})
	}
	cancel()
	running.Wait()
	awaitCondition(t, func() bool { return runtime.NumGoroutine() <= goroutines && openFiles(t) <= descriptors })
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("needs /proc/self/fd")
	}
	return len(entries)
}

// The step of a clock shows only without the monotonic part that time.Now has.
func TestAStepIsMeasuredOnTheWallClock(t *testing.T) {
	t.Parallel()
	watch := clockWatch{limit: time.Minute}
	now := time.Now()
	if watch.stepped(now, 0) || watch.wall != now.Round(0) {
		t.Error("the first look is no step, and keeps the wall clock alone")
	}
	for _, test := range []struct {
		step, elapsed time.Duration
		want          bool
	}{
		{10 * time.Second, 10 * time.Second, false},
		{39 * time.Second, 10 * time.Second, false},
		{40 * time.Second, 10 * time.Second, true},
		{-20 * time.Second, 10 * time.Second, true},
		{5 * time.Hour, 5 * time.Hour, false},
	} {
		watch = clockWatch{limit: time.Minute, wall: now.Round(0)}
		if got := watch.stepped(now.Add(test.step), test.elapsed); got != test.want {
			t.Errorf("the wall clock went %s in %s: stepped() = %t", test.step, test.elapsed, got)
		}
	}
}

// A file that changes all the time is read all the same, and not at each change.
func TestManyChangesDoNotPutOffTheReading(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		store, err := NewFile(Options{}, path, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { store.run(ctx) })
		for range 1000 {
			store.Refresh()
			<-time.After(time.Millisecond)
		}
		cancel()
		running.Wait()
		if reads := store.results.counts[resultOK].Load(); reads < 25 || reads > 51 {
			t.Errorf("%d reads in a second of changes, want one every 20 to 40 ms", reads)
		}
	})
}

// A directory that is replaced as a whole is watched again.
func TestAReplacedDirectoryIsWatchedAgain(t *testing.T) {
	t.Parallel()
	directory := filepath.Join(t.TempDir(), "secrets")
	path := filepath.Join(directory, "key")
	write := func(content string) {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mkdir(t, directory)
	write("first")
	store, err := NewFile(Options{}, path, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { store.run(ctx) })
	running.Go(func() {
		watchDirectories(ctx, slog.New(slog.DiscardHandler), []*Store{store}, 10*time.Millisecond)
	})
	for round := range 5 {
		if err := os.Rename(directory, fmt.Sprint(directory, round)); err != nil {
			t.Fatal(err)
		}
		mkdir(t, directory)
		// The first writes may come before the watch; one of them must be seen.
		awaitCondition(t, func() bool {
			write(fmt.Sprint(round))
			current, err := store.Current()
			return err == nil && current.Value.Reveal() == fmt.Sprint(round)
		})
	}
	cancel()
	running.Wait()
}

// A directory that cannot be watched is told of once; when it is there, what
// happened before the watch is read.
func TestAMissingDirectoryIsToldOfOnceAndReadWhenItComes(t *testing.T) {
	t.Parallel()
	directory := filepath.Join(t.TempDir(), "secrets")
	store := newStore(Options{}, file{filepath.Join(directory, "key")}, plan{interval: time.Hour})
	lines := make(logLines, 100)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		watchDirectories(ctx, slog.New(slog.NewTextHandler(lines, nil)), []*Store{store}, time.Millisecond)
	})
	if line := <-lines; !strings.Contains(line, "cannot be watched") || len(store.wake) != 0 {
		t.Errorf("a missing directory asked for a refresh, or gave the line %s", line)
	}
	// Some more tries go by.
	ticks := time.NewTicker(20 * time.Millisecond)
	defer ticks.Stop()
	<-ticks.C
	mkdir(t, directory)
	awaitCondition(t, func() bool { return len(store.wake) == 1 })
	cancel()
	running.Wait()
	if len(lines) != 0 {
		t.Errorf("it was told of again: %s", <-lines)
	}
}

// logLines are the lines of a log as they come.
type logLines chan string

func (l logLines) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}

func mkdir(t *testing.T, directory string) {
	t.Helper()
	if err := os.Mkdir(directory, 0o700); err != nil {
		t.Fatal(err)
	}
}

func awaitCondition(t *testing.T, condition func() bool) {
	t.Helper()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	tooLate := time.After(20 * time.Second)
	for !condition() {
		select {
		case <-again.C:
		case <-tooLate:
			t.Fatal("did not happen in time")
		}
	}
}
