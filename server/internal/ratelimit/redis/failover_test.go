package redis

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
)

// survivesFailover has two replicas spend one budget under load while Redis fails over. No call
// fails or waits without end, neither replica admits more than its own budget, and both share again.
func survivesFailover(t *testing.T, s *server, url string, fail func(), more ...func(*Options)) {
	t.Helper()
	var replicas []*Limiter
	for range 2 {
		r, _ := replica(t, s, func(o *Options) {
			o.URL, o.Timeout = url, 200*time.Millisecond
			for _, change := range more {
				change(o)
			}
		})
		await(t, "sharing", func() bool { return r.breaker.is(up) })
		replicas = append(replicas, r)
	}
	rate := ratelimit.MustRate("50/s:100")
	call := budgetsFor(1, ratelimit.Rate{}, ratelimit.Rate{}, rate)
	began := time.Now()
	var calls, failed, longest atomic.Int64
	passed := make([]atomic.Int64, len(replicas))
	stop := make(chan struct{})
	var load sync.WaitGroup
	for i, r := range replicas {
		for range 4 {
			load.Go(func() {
				for pause := time.NewTicker(2 * time.Millisecond); ; <-pause.C {
					select {
					case <-stop:
						return
					default:
					}
					start := time.Now()
					decision, err := r.Take(t.Context(), call)
					longest.Store(max(longest.Load(), int64(time.Since(start))))
					calls.Add(1)
					switch {
					case err != nil:
						failed.Add(1)
					case decision.Allowed:
						passed[i].Add(1)
					}
				}
			})
		}
	}
	await(t, "load", func() bool { return calls.Load() > 500 })
	failedAt := time.Now()
	fail()
	awaitLong(t, "the failure to be seen", func() bool { return replicas[0].breaker.is(down) && replicas[1].breaker.is(down) })
	awaitLong(t, "sharing to resume", func() bool { return replicas[0].breaker.is(up) && replicas[1].breaker.is(up) })
	away := time.Since(failedAt)
	close(stop)
	load.Wait()
	elapsed := time.Since(began)

	budget := 100 + 50*elapsed.Seconds()
	total := passed[0].Load() + passed[1].Load()
	t.Logf("%d calls, %d failed, the longest took %v; %d passed of a budget of %.0f in %v (%+.1f %%); shared again after %v",
		calls.Load(), failed.Load(), time.Duration(longest.Load()).Round(time.Millisecond), total, budget,
		elapsed.Round(time.Millisecond), 100*(float64(total)/budget-1), away.Round(time.Millisecond))
	if failed.Load() > 0 {
		t.Errorf("%d calls failed", failed.Load())
	}
	for i := range passed {
		if n := float64(passed[i].Load()); n > budget+1 {
			t.Errorf("replica %d admitted %.0f, more than a budget of %.0f", i, n, budget)
		}
	}
	// What one has spent, the other knows again.
	shared := budgetsFor(2, ratelimit.Rate{}, ratelimit.Rate{}, ratelimit.MustRate("10/h"))
	if n := admitted(t, replicas[0], 6, shared) + admitted(t, replicas[1], 6, shared); n != 10 {
		t.Errorf("%d passed afterwards, want one budget of 10", n)
	}
}
