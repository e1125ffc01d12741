package secret

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/kustomer"
	"github.com/chatidentity/chatidentity/server/internal/kustomer/standin"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
	"github.com/chatidentity/chatidentity/server/internal/watch"
)

// Goroutines and file descriptors are back to the start after 1,000 refreshes. Counting the
// process's own, it runs alone: no t.Parallel.
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
	follower := watch.NewFollower(slog.New(slog.DiscardHandler))
	fromFile, fileErr := Open(Options{Follower: follower}, Source{File: path})
	fromAPI, apiErr := Open(Options{}, Source{API: &API{Client: client}})
	if fileErr != nil || apiErr != nil {
		t.Fatal(fileErr, apiErr)
	}
	fromAPI.WithoutPauses()

	goroutines, descriptors := runtime.NumGoroutine(), openFiles(t)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { Run(ctx, fromAPI, fromFile) })
	running.Go(func() { follower.Run(ctx) })
	for round := range 1000 {
		loads := func() bool {
			return fromAPI.results.counts[resultOK].Load() > uint64(round) && fromFile.results.counts[resultOK].Load() > uint64(round)
		}
		awaitCondition(t, func() bool {
			if loads() {
				return true
			}
			fromAPI.Refresh()
			follower.Wake()
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
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("needs /proc/self/fd")
	}
	return len(entries)
}

// The step of a clock shows only without the monotonic part that time.Now has.
func TestAStepIsMeasuredOnTheWallClock(t *testing.T) {
	t.Parallel()
	clock := clockWatch{limit: time.Minute}
	now := time.Now()
	if clock.stepped(now, 0) || clock.wall != now.Round(0) {
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
		clock = clockWatch{limit: time.Minute, wall: now.Round(0)}
		if got := clock.stepped(now.Add(test.step), test.elapsed); got != test.want {
			t.Errorf("the wall clock went %s in %s: stepped() = %t", test.step, test.elapsed, got)
		}
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
