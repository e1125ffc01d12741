package redis

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
)

// fakeServer fails while it is down, and records when it was probed.
type fakeServer struct {
	clock  func() time.Duration
	mu     sync.Mutex
	down   bool
	probes []time.Duration
}

func (s *fakeServer) probe(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.probes = append(s.probes, s.clock())
	if s.down {
		return errors.New("timeout")
	}
	return nil
}

func startBreaker(t *testing.T, server *fakeServer) (*breaker, *strings.Builder) {
	t.Helper()
	server.clock = ratelimit.Monotonic()
	log := &strings.Builder{}
	b := newBreaker(server.probe, server.clock, &Options{Log: slog.New(slog.NewTextHandler(log, nil)), Jitter: func() float64 { return 0 }})
	go b.run(t.Context())
	synctest.Wait()
	return b, log
}

func TestBreakerDeclaresADeadServerDownAtTheStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := &fakeServer{down: true}
		b, log := startBreaker(t, server)
		if err := b.ready(); err == nil {
			t.Error("ready after one failure: nothing is known yet")
		}
		time.Sleep(300 * time.Millisecond)
		synctest.Wait()
		if err := b.ready(); err != nil || !b.is(down) {
			t.Errorf("after three failures: ready is %v, state %v", err, b.state.Load())
		}
		if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "policy=local part=limiter event=outage_began") || !strings.Contains(log.String(), "timeout") {
			t.Errorf("%d lines of log:\n%s", n, log)
		}
	})
}

func TestBreakerProbesLessAndLessOften(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := &fakeServer{down: true}
		startBreaker(t, server)
		time.Sleep(20 * time.Second)
		synctest.Wait()
		want := []int64{0, 100, 300, 700, 1500, 3100, 6300, 11300, 16300}
		server.mu.Lock()
		defer server.mu.Unlock()
		if len(server.probes) != len(want) {
			t.Fatalf("probes at %v, want %v ms", server.probes, want)
		}
		for i := range want {
			if server.probes[i].Milliseconds() != want[i] {
				t.Fatalf("probes at %v, want %v ms", server.probes, want)
			}
		}
	})
}

func TestBreakerComesUpByItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := &fakeServer{down: true}
		b, log := startBreaker(t, server)
		time.Sleep(20 * time.Second)
		server.mu.Lock()
		server.down = false
		server.mu.Unlock()
		time.Sleep(pauses.Longest)
		synctest.Wait()
		if !b.is(up) || b.changes[up].Load() != 1 || b.changes[down].Load() != 1 {
			t.Error("it did not come up by itself, once")
		}
		if n := strings.Count(log.String(), "\n"); n != 2 {
			t.Errorf("%d lines of log for two changes:\n%s", n, log)
		}
		// After it was up for a while, the pauses start over.
		time.Sleep(steady)
		for range tolerated {
			b.failed(server.clock(), context.DeadlineExceeded)
		}
		time.Sleep(pauses.First)
		synctest.Wait()
		if !b.is(up) {
			t.Error("the pauses did not start anew after a steady time")
		}
	})
}

func TestBreakerOpensAfterThreeFailuresInARow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := &fakeServer{}
		b, _ := startBreaker(t, server)
		failure := errors.New("reset")
		for range 10 { // never three in a row
			b.failed(server.clock(), failure)
			b.failed(server.clock(), failure)
			b.answered()
		}
		if !b.is(up) {
			t.Fatal("declared down while every third call was answered")
		}
		for range 10 {
			b.failed(server.clock(), failure)
		}
		if !b.is(down) || b.changes[down].Load() != 1 {
			t.Fatal("not declared down, once")
		}
		// A late answer to an earlier call does not bring it back; only a probe does.
		b.answered()
		if !b.is(down) {
			t.Error("brought back by a late answer")
		}
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if !b.is(up) {
			t.Error("not brought back by a probe")
		}
	})
}

// While calls that redis does not answer are refused, a server that answers only some of them is an
// outage too, until it has failed none for a while. Where such calls are decided locally, it is none.
func TestBreakerAnnouncesSingleFailuresThatRefuseCalls(t *testing.T) {
	t.Parallel()
	for policy, want := range map[Failure][]int{FailClosed: {1, 0, 1, 1}, FailLocal: {0, 0, 0, 0}} {
		synctest.Test(t, func(t *testing.T) {
			server := &fakeServer{clock: ratelimit.Monotonic()}
			log := &strings.Builder{}
			b := newBreaker(server.probe, server.clock, &Options{
				Failure: policy, Log: slog.New(slog.NewTextHandler(log, nil)), Jitter: func() float64 { return 0 },
			})
			lines := func(event string) int { return strings.Count(log.String(), "event="+event) }
			for range 20 { // never two in a row
				time.Sleep(time.Second)
				b.failed(server.clock(), errors.New("slow"))
				b.answered()
				b.outage.Look()
			}
			began, ended := lines("outage_began"), lines("outage_ended")
			time.Sleep(steady)
			b.outage.Look()
			if got := []int{began, ended, lines("outage_began"), lines("outage_ended")}; !slices.Equal(got, want) {
				t.Errorf("%s: begun and ended, during and after: %v, want %v:\n%s", policy, got, want, log)
			}
		})
	}
}

// A single stall fails all the calls that wait at that moment.
func TestBreakerCountsCallsSideBySideOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := &fakeServer{}
		b, _ := startBreaker(t, server)
		for stall := range tolerated {
			if !b.is(up) {
				t.Fatalf("declared down after %d stalls", stall)
			}
			began := server.clock()
			time.Sleep(50 * time.Millisecond)
			for range 100 {
				b.failed(began, context.DeadlineExceeded)
			}
		}
		if !b.is(down) {
			t.Error("not declared down after stalls in a row")
		}
	})
}

func TestBreakerFollowsAFlappingServerLessAndLessOften(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := &fakeServer{} // probes pass, decisions fail
		b, _ := startBreaker(t, server)
		for range 60 * 10 { // a minute
			for range tolerated {
				b.failed(server.clock(), errors.New("slow"))
			}
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
		}
		if n := b.changes[down].Load(); n > 20 {
			t.Errorf("went down %d times in a minute", n)
		}
	})
}

// Replicas that saw the same server fail do not come back in step.
func TestBreakerSpreadsProbes(t *testing.T) {
	t.Parallel()
	for jitter, want := range map[float64]time.Duration{0: 100 * time.Millisecond, 0.5: 125 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			server := &fakeServer{clock: ratelimit.Monotonic(), down: true}
			b := newBreaker(server.probe, server.clock, &Options{Log: slog.New(slog.DiscardHandler), Jitter: func() float64 { return jitter }})
			go b.run(t.Context())
			time.Sleep(200 * time.Millisecond)
			synctest.Wait()
			if len(server.probes) != 2 || server.probes[1] != want {
				t.Errorf("jitter %v: probes at %v, want the second at %v", jitter, server.probes, want)
			}
		})
	}
}
