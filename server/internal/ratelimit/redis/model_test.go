package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/modeltest"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

// TestModel drives replicas over a simulated Redis by a random schedule of calls, answers that come,
// come late or never, restarts, and a server that forgets or whose clock steps. It compares what was
// admitted with what may be (model). PROOF takes millions of steps instead of some ten
// thousand. A failure names its seed, and MODEL_SEED runs that one again, step for step.
func TestModel(t *testing.T) {
	t.Parallel()
	var total counts
	all := modeltest.Play(t, 10_000, 3_000_000, func(t *testing.T, seed uint64) int {
		t.Helper()
		w := newWorld(t, seed)
		w.play()
		total.add(&w.counts)
		return w.steps
	})
	t.Logf("%+v", total)
	if all && slices.Contains(total.all(), 0) {
		t.Error("the schedule attacks less than it says")
	}
}

type counts struct {
	steps, admitted, refused, unavailable int
	lost, restarts, forgot                int // answers, replicas, what the server knew
}

func (c *counts) all() []int {
	return []int{c.steps, c.admitted, c.refused, c.unavailable, c.lost, c.restarts, c.forgot}
}

func (c *counts) add(o *counts) {
	sum := c.all()
	for i, n := range o.all() {
		sum[i] += n
	}
	*c = counts{sum[0], sum[1], sum[2], sum[3], sum[4], sum[5], sum[6]}
}

// world is replicas of one deployment and the server that they share.
type world struct {
	counts

	t        *testing.T
	seed     uint64
	random   *rand.Rand
	calm     bool // the server answers at once: then decisions are exact
	failure  Failure
	rates    ratelimit.Rates
	server   *simServer
	shared   ledger // what the server has spent, by its own clock
	replicas []*pod
	running  sync.WaitGroup
	trace    []string

	mu        sync.Mutex // of what calls write when they return
	questions []*question
}

// pod is one replica.
type pod struct {
	limiter *Limiter
	local   ledger // what it has admitted
	stop    context.CancelFunc
}

// ledger is the model of budgets: how far each is ahead of now, had it been spent as noted.
type ledger struct {
	now   func() time.Duration
	ahead map[string]time.Duration
	at    map[string]time.Duration
}

func newLedger(now func() time.Duration) ledger {
	return ledger{now, map[string]time.Duration{}, map[string]time.Duration{}}
}

func (l *ledger) debt(name string) time.Duration { return max(0, l.ahead[name]-(l.now()-l.at[name])) }

func (l *ledger) spend(name string, interval time.Duration) time.Duration {
	l.ahead[name], l.at[name] = l.debt(name)+interval, l.now()
	return l.ahead[name]
}

func newWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 5))
	w := &world{t: t, seed: seed, random: random, calm: seed%4 == 0, failure: Failure(random.IntN(2))}
	for limit, texts := range [][]string{
		{"off", "50/s:30", "9/s:4"}, {"off", "20/s:10", "3/s:6"}, {"7/s:3", "60/m:4", "2/s:2", "100/s:1"},
	} {
		w.rates[limit] = ratelimit.MustRate(texts[random.IntN(len(texts))])
	}
	began := time.Now()
	elapsed := func() time.Duration { return time.Since(began) }
	w.server = &simServer{clock: elapsed, skew: 24 * time.Hour, tats: map[string]int64{}}
	w.shared = newLedger(elapsed)
	for range 1 + random.IntN(3) {
		w.replicas = append(w.replicas, w.newPod())
	}
	return w
}

func (w *world) newPod() *pod {
	limiter, err := New(ratelimit.NewLocal(1<<10, ratelimit.Monotonic()), Options{
		URL: "redis://localhost", Prefix: "chatidentity", Timeout: 50 * time.Millisecond, Failure: w.failure,
		KeySecret: func() (sensitive.String, error) { return sensitive.New(keySecret), nil },
		Log:       slog.New(slog.DiscardHandler), Jitter: func() float64 { return 0.5 },
	})
	if err != nil {
		w.t.Fatal(err)
	}
	limiter.decide = w.ask
	p := &pod{limiter: limiter, local: newLedger(w.shared.now)}
	ctx, stop := context.WithCancel(context.Background())
	w.running.Go(func() { limiter.Run(ctx) })
	p.stop = stop
	return p
}

// fail says what is wrong and how to see it again.
func (w *world) failf(format string, args ...any) {
	w.t.Helper()
	if !w.t.Failed() {
		w.t.Errorf("%s\nafter %d steps of MODEL_SEED=%d (%v, failure %v); the last ones: %s",
			fmt.Sprintf(format, args...), w.steps, w.seed, w.rates, w.failure,
			strings.Join(w.trace[max(0, len(w.trace)-60):], ", "))
	}
}

// step is something that may happen at any time.
type step struct {
	name   string
	weight int
	calm   bool // it may happen in a calm world too
	do     func(*world)
}

var steps = []step{
	{"call", 40, true, (*world).call},
	{"answer", 40, true, (*world).answer},
	{"wait", 25, true, func(w *world) { w.pass(time.Duration(w.random.Int64N(int64(80 * time.Millisecond)))) }},
	{"wait long", 2, true, func(w *world) { w.pass(time.Duration(w.random.Int64N(int64(8 * time.Second)))) }},
	{"spend, answer later", 5, false, (*world).spendOnly},
	{"fail", 5, false, (*world).refuseAnswer},
	{"restart", 1, false, (*world).restart},
	{"forget", 1, false, func(w *world) { w.forgot++; clear(w.server.tats); clear(w.shared.ahead) }},
	{"step clock", 1, false, func(w *world) {
		w.forgot++
		w.server.skew += time.Duration(w.random.Int64N(int64(time.Hour))) - 30*time.Minute
		clear(w.shared.ahead) // what it means to the server now is not what was spent
	}},
	{"heal", 1, false, (*world).heal},
}

func (w *world) play() {
	weights := 0
	for _, step := range steps {
		weights += step.weight
	}
	w.heal()
	for range 300 {
		at := w.random.IntN(weights)
		next := 0
		for at >= steps[next].weight {
			at -= steps[next].weight
			next++
		}
		if w.calm && !steps[next].calm {
			continue
		}
		w.steps++
		w.trace = append(w.trace, steps[next].name)
		steps[next].do(w)
		synctest.Wait()
		if w.t.Failed() {
			break
		}
	}
	w.heal()
	w.rest()
	for _, p := range w.replicas {
		p.stop()
	}
	w.answerAll()
	w.running.Wait()
}

// check compares a decision with the model.
func (w *world) check(p *pod, budgets *ratelimit.Budgets, q *question, d ratelimit.Decision, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err != nil && (w.failure != FailClosed || !errors.Is(err, ErrUnavailable)):
		w.failf("error %v", err)
	case err != nil:
		w.unavailable++
	case !d.Allowed:
		w.refused++
		if d.RetryAfter <= 0 || budgets[d.Limit].Rate.IsOff() {
			w.failf("refused: %+v", d)
		}
	default:
		w.admitted++
		if w.failure == FailClosed && budgets.AreShared() && (q == nil || !q.allowed) {
			w.failf("admitted though the server did not")
		}
		w.spend(p, budgets)
	}
}

// spend notes an admitted call. No budget of one process is ever exceeded.
func (w *world) spend(p *pod, budgets *ratelimit.Budgets) {
	for limit, b := range budgets {
		if b.Rate.IsOff() {
			continue
		}
		if ahead := p.local.spend(fmt.Sprint(limit, b.Key), b.Rate.Interval()); ahead > b.Rate.Refill() {
			w.failf("%v: a process admitted more than %s: %v ahead", ratelimit.Limit(limit), b.Rate, ahead)
		}
	}
}
