package redis

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

const keySecret = "a secret that all replicas have"

func testOptions(url string, log *journal) Options {
	return Options{
		URL:       url,
		KeySecret: func() (sensitive.String, error) { return sensitive.New(keySecret), nil },
		Prefix:    "chatidentity",
		Timeout:   time.Second, // the tests may share two cores with others
		Log:       slog.New(slog.NewTextHandler(log, nil)),
		Jitter:    rand.Float64,
	}
}

// replica returns a running limiter, as of one pod. configure may be nil.
func replica(tb testing.TB, s *server, configure func(*Options)) (*Limiter, *journal) {
	tb.Helper()
	log := &journal{}
	options := testOptions("", log)
	if s != nil {
		options.URL = "unix://" + s.socket
	}
	if configure != nil {
		configure(&options)
	}
	r, err := New(ratelimit.NewLocal(1<<10, ratelimit.Monotonic()), options)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		r.Run(ctx)
	}()
	tb.Cleanup(func() {
		cancel()
		<-stopped
	})
	await(tb, "the limiter to be ready", func() bool { return r.Ready() == nil })
	return r, log
}

func take(t *testing.T, r *Limiter, budgets ratelimit.Budgets) ratelimit.Decision {
	t.Helper()
	decision, err := r.Take(t.Context(), budgets)
	if err != nil {
		t.Fatal(err)
	}
	return decision
}

// admitted returns how many of n calls pass.
func admitted(t *testing.T, r *Limiter, n int, budgets ratelimit.Budgets) int {
	t.Helper()
	count := 0
	for range n {
		if take(t, r, budgets).Allowed {
			count++
		}
	}
	return count
}

// Four replicas with ten goroutines each spend exactly one budget.
func TestRedisReplicasSpendOneBudget(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	call := budgetsFor(1, ratelimit.MustRate("500/h"), ratelimit.Rate{}, ratelimit.MustRate("100/h"))
	var passed atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		r, _ := replica(t, s, nil)
		for range 10 {
			wg.Go(func() {
				for range 10 {
					if d, err := r.Take(t.Context(), call); err == nil && d.Allowed {
						passed.Add(1)
					}
				}
			})
		}
	}
	wg.Wait()
	if n := passed.Load(); n != 100 {
		t.Errorf("%d passed, want 100", n)
	}
	// The refused calls have spent nothing of the global budget.
	r, _ := replica(t, s, nil)
	if n := admitted(t, r, 450, budgetsFor(2, ratelimit.MustRate("500/h"), ratelimit.Rate{}, ratelimit.Rate{})); n != 400 {
		t.Errorf("%d were left of the global budget, want 400", n)
	}
}

// Under load, replicas together admit the burst, and at most burst + rate × t.
func TestRedisReplicasKeepTheRate(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	call := budgetsFor(1, ratelimit.Rate{}, ratelimit.Rate{}, ratelimit.MustRate("1000/s:50"))
	var passed atomic.Int64
	var wg sync.WaitGroup
	replicas := make([]*Limiter, 4)
	for i := range replicas {
		replicas[i], _ = replica(t, s, nil)
	}
	start := time.Now()
	for _, r := range replicas {
		wg.Go(func() {
			for time.Since(start) < time.Second {
				if d, err := r.Take(t.Context(), call); err == nil && d.Allowed {
					passed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	most := 50 + int64(time.Since(start).Seconds()*1000) + 1
	t.Logf("%d passed, %d at most", passed.Load(), most)
	if n := passed.Load(); n > most || n < 50 {
		t.Errorf("%d passed, want 50 at least and %d at most", n, most)
	}
}

// Calls that wait for the server at the same time are remembered once each.
func TestRedisRemembersConcurrentCallsOnce(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	r, _ := replica(t, s, nil)
	call := budgetsFor(1, ratelimit.MustRate("300/h"), ratelimit.MustRate("200/h"), ratelimit.Rate{})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 50 {
				r.Take(t.Context(), call)
			}
		})
	}
	wg.Wait()
	if n := admitted(t, r, 110, budgetsFor(1, ratelimit.MustRate("300/h"), ratelimit.Rate{}, ratelimit.Rate{})); n < 100 {
		t.Errorf("%d are left of the global budget, want 100", n)
	}
}

func TestRedisWaitIsEnoughAndNeeded(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	r, _ := replica(t, s, nil)
	other, _ := replica(t, s, nil)
	call := budgetsFor(1, ratelimit.Rate{}, ratelimit.Rate{}, ratelimit.MustRate("4/s:2"))
	if admitted(t, r, 2, call) != 2 {
		t.Fatal("the burst did not pass")
	}
	// The other replica knows of nothing until the server tells it.
	decision := take(t, other, call)
	if decision.Allowed || decision.Limit != ratelimit.Customer || decision.RetryAfter <= 0 || decision.RetryAfter > 250*time.Millisecond {
		t.Fatalf("got %+v, want the customer's limit for up to 250 ms", decision)
	}
	<-time.After(decision.RetryAfter)
	if !take(t, other, call).Allowed {
		t.Error("refused at the time that it was told")
	}
}

// A decision takes one EVALSHA, however many budgets it spends, and none if the pod remembers that
// one is empty or if none is shared.
func TestRedisRoundTrips(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	r, _ := replica(t, s, nil)
	three := budgetsFor(1, ratelimit.MustRate("1000/h"), ratelimit.MustRate("1000/h"), ratelimit.MustRate("10/h"))
	three[ratelimit.Caller].Local = false
	local := budgetsFor(1, ratelimit.Rate{}, ratelimit.MustRate("1000/h"), ratelimit.Rate{})
	take(t, r, three) // whatever a new connection costs
	for _, step := range []struct {
		what        string
		call        ratelimit.Budgets
		n, passed   int
		evals, gets int
	}{
		{"nine calls on three budgets", three, 9, 9, 9, 27},
		// This process has spent all of them, so it knows without asking.
		{"over the limit", three, 100, 0, 0, 0},
		{"not shared", local, 100, 100, 0, 0},
	} {
		evals, gets, all := s.calls("evalsha"), s.calls("get"), s.calls("eval")
		if n := admitted(t, r, step.n, step.call); n != step.passed {
			t.Errorf("%s: %d passed, want %d", step.what, n, step.passed)
		}
		if n := s.calls("evalsha") - evals; n != step.evals {
			t.Errorf("%s: %d round trips, want %d", step.what, n, step.evals)
		}
		if n := s.calls("get") - gets; n != step.gets {
			t.Errorf("%s: %d budgets asked, want %d", step.what, n, step.gets)
		}
		if n := s.calls("eval") - all; n != 0 {
			t.Errorf("%s: the script was sent %d times more", step.what, n)
		}
	}
	// Another replica has to be told once.
	other, _ := replica(t, s, nil)
	evals := s.calls("evalsha")
	if n := admitted(t, other, 100, three); n != 0 {
		t.Errorf("%d passed at another replica", n)
	}
	if n := s.calls("evalsha") - evals; n != 1 {
		t.Errorf("100 refusals took %d round trips, want 1", n)
	}
}

func TestRedisBudgetsThatAreNotSharedStayInThePod(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	call := budgetsFor(1, ratelimit.MustRate("1000/h"), ratelimit.MustRate("5/h"), ratelimit.MustRate("1000/h"))
	for range 2 {
		r, _ := replica(t, s, nil)
		if n := admitted(t, r, 20, call); n != 5 {
			t.Errorf("the pod's own caller had %d, want 5", n)
		}
	}
	// The pods refused thirty calls, which spent nothing of the shared budgets.
	r, _ := replica(t, s, nil)
	if n := admitted(t, r, 1100, budgetsFor(1, ratelimit.MustRate("1000/h"), ratelimit.Rate{}, ratelimit.Rate{})); n != 990 {
		t.Errorf("%d were left of the global budget, want 990", n)
	}
}

// What the server refuses is given back to the pod's own budgets.
func TestRedisRefusalSpendsNothingLocally(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	first, _ := replica(t, s, nil)
	second, _ := replica(t, s, nil)
	perCaller := ratelimit.MustRate("5/h")
	if n := admitted(t, first, 3, budgetsFor(1, ratelimit.Rate{}, ratelimit.Rate{}, ratelimit.MustRate("3/h"))); n != 3 {
		t.Fatal(n)
	}
	if n := admitted(t, second, 20, budgetsFor(1, ratelimit.Rate{}, perCaller, ratelimit.MustRate("3/h"))); n != 0 {
		t.Fatalf("%d passed over the customer's limit", n)
	}
	if n := admitted(t, second, 20, budgetsFor(2, ratelimit.Rate{}, perCaller, ratelimit.Rate{})); n != 5 {
		t.Errorf("the caller has %d left, want all 5", n)
	}
}

// A caller that gives up is not a failure of the server, and closes no connection.
func TestRedisDecidesForACallerThatGaveUp(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	r, log := replica(t, s, nil)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	evals := s.calls("evalsha")
	for range 10 {
		if decision, err := r.Take(gone, budgetsFor(1, ratelimit.Rate{}, ratelimit.Rate{}, ratelimit.MustRate("100/h"))); err != nil || !decision.Allowed {
			t.Fatalf("got %+v, %v", decision, err)
		}
	}
	if n := s.calls("evalsha") - evals; n != 10 || !r.breaker.is(up) {
		t.Errorf("%d of 10 decisions reached the server:\n%s", n, log)
	}
}
