package redis

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
)

// failures are the ways in which a server stops answering and comes back.
var failures = map[string]struct{ stop, resume func(*server) }{
	"killed": {
		stop:   func(s *server) { s.kill() },
		resume: func(s *server) { s.start() },
	},
	"stopped by a signal": {
		stop:   func(s *server) { s.signal(syscall.SIGSTOP) },
		resume: func(s *server) { s.signal(syscall.SIGCONT) },
	},
	"CLIENT PAUSE": {
		stop:   func(s *server) { s.do("CLIENT", "PAUSE", "3000", "ALL") },
		resume: func(*server) {}, // it ends by itself, because the pause holds up UNPAUSE too
	},
	"writes refused": {
		stop:   func(s *server) { s.do("CONFIG", "SET", "maxmemory", "1") },
		resume: func(s *server) { s.do("CONFIG", "SET", "maxmemory", "0") },
	},
}

// Limits are shared; then the pod applies its own, without a fresh burst; then they are shared
// again.
func TestRedisFailsToLocal(t *testing.T) {
	t.Parallel()
	for name, failure := range failures {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t)
			r, log := replica(t, s, func(o *Options) { o.Timeout = 50 * time.Millisecond })
			await(t, "the server to answer", func() bool { return r.breaker.is(up) })
			call := budgetsFor(1, ratelimit.Rate{}, ratelimit.Rate{}, ratelimit.MustRate("10/h"))
			before := admitted(t, r, 4, call)
			failure.stop(s)
			longest := time.Duration(0)
			during := 0
			for range 50 {
				start := time.Now()
				if take(t, r, call).Allowed {
					during++
				}
				longest = max(longest, time.Since(start))
			}
			if before != 4 || during != 6 {
				t.Errorf("%d passed before and %d during the failure, want 4 and 6", before, during)
			}
			if longest > time.Second {
				t.Errorf("a decision waited for %v, its limit is 50 ms", longest)
			}
			t.Logf("longest decision: %v", longest)
			// Calls for others declare it down.
			other := budgetsFor(2, ratelimit.Rate{}, ratelimit.Rate{}, ratelimit.MustRate("1000/h"))
			await(t, "the server to be declared down", func() bool { take(t, r, other); return r.breaker.is(down) })
			failure.resume(s)
			await(t, "sharing to resume", func() bool { return r.breaker.is(up) })
			evals := s.calls("evalsha") + s.calls("eval")
			third := budgetsFor(3, ratelimit.Rate{}, ratelimit.Rate{}, ratelimit.MustRate("10/h"))
			if n := admitted(t, r, 3, third); n != 3 || s.calls("evalsha")+s.calls("eval")-evals < 3 {
				t.Error("after the failure, decisions are not shared again")
			}
			if n := admitted(t, r, 20, call); n != 0 {
				t.Errorf("%d more passed after the failure", n)
			}
			await(t, "one line for each change", func() bool {
				return strings.Count(log.String(), "event=outage_began") == int(r.breaker.changes[down].Load())
			})
		})
	}
}

func TestRedisFailsClosed(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	r, _ := replica(t, s, func(o *Options) { o.Failure, o.Timeout = FailClosed, 5*time.Second })
	await(t, "the server to answer", func() bool { return r.breaker.is(up) })
	call := budgetsFor(1, ratelimit.Rate{}, ratelimit.MustRate("100/h"), ratelimit.MustRate("10/h"))
	if n := admitted(t, r, 4, call); n != 4 {
		t.Fatal(n)
	}
	s.kill()
	for range 50 {
		if decision, err := r.Take(t.Context(), call); !errors.Is(err, ErrUnavailable) || decision.Allowed {
			t.Fatalf("got %+v, %v; want ErrUnavailable", decision, err)
		}
	}
	// What is not shared does not need the server.
	if n := admitted(t, r, 200, budgetsFor(1, ratelimit.Rate{}, ratelimit.MustRate("100/h"), ratelimit.Rate{})); n != 96 {
		t.Errorf("the caller has %d left, want 96: a call that got no decision spends nothing", n)
	}
	s.start()
	await(t, "sharing to resume", func() bool { return r.breaker.is(up) })
	if n := admitted(t, r, 20, budgetsFor(1, ratelimit.Rate{}, ratelimit.Rate{}, ratelimit.MustRate("10/h"))); n != 6 {
		t.Errorf("%d passed after the failure, want 6", n)
	}
}

// When the server dies with many calls in flight, the pod keeps to its own limits.
func TestRedisDiesUnderLoad(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	r, _ := replica(t, s, func(o *Options) { o.Timeout = 100 * time.Millisecond })
	call := budgetsFor(1, ratelimit.MustRate("300/h"), ratelimit.MustRate("200/h"), ratelimit.Rate{})
	var mu sync.Mutex
	passed := 0
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 50 {
				if d, err := r.Take(t.Context(), call); err == nil && d.Allowed {
					mu.Lock()
					passed++
					mu.Unlock()
				}
			}
		})
	}
	await(t, "calls to pass", func() bool { mu.Lock(); defer mu.Unlock(); return passed > 20 })
	s.kill()
	wg.Wait()
	if passed != 200 {
		t.Errorf("%d passed, want 200", passed)
	}
	// A reservation that was never settled would still hold its place in the global budget.
	if n := admitted(t, r, 110, budgetsFor(1, ratelimit.MustRate("300/h"), ratelimit.Rate{}, ratelimit.Rate{})); n < 100 {
		t.Errorf("%d are left of the global budget, want 100: reservations were never settled", n)
	}
}

// The server does not exist, or it accepts connections and says nothing.
func TestRedisThatNeverAnswers(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("TestRedisThatNeverAnswers: the directory's name is too long for a socket: ", err)
	}
	t.Cleanup(func() { silent.Close() })
	for name, socket := range map[string]string{"nobody": "/nonexistent/socket", "silence": silent.Addr().String()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, log := replica(t, &server{socket: socket}, func(o *Options) { o.Timeout = 20 * time.Millisecond })
			if !r.breaker.is(down) {
				t.Fatal("ready, but not because it was declared down")
			}
			if n := admitted(t, r, 50, budgetsFor(1, ratelimit.Rate{}, ratelimit.Rate{}, ratelimit.MustRate("10/h"))); n != 10 {
				t.Errorf("%d passed, want the pod's own 10", n)
			}
			await(t, "the log", func() bool { return log.String() != "" })
			if n := strings.Count(log.String(), "\n"); n != 1 {
				t.Errorf("%d lines of log, want 1:\n%s", n, log)
			}
		})
	}
}
