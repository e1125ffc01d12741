package secret_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/kustomer"
	"github.com/chatidentity/chatidentity/server/internal/modeltest"
	"github.com/chatidentity/chatidentity/server/internal/secret"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

// TestModel drives a store over a simulated vendor by a random schedule of changes, answers that come
// at once, late, wrong or never, requests to refresh, clocks that step, and stores that are closed
// and opened. It compares what a call sees with what it may see (model). PROOF takes
// millions of steps instead of some thousand. A failure names its seed, and MODEL_SEED
// runs that one again, step for step.
func TestModel(t *testing.T) {
	t.Parallel()
	var total tally
	all := modeltest.Play(t, 3_000, 2_000_000, func(t *testing.T, seed uint64) int {
		t.Helper()
		p := newPlay(t, seed)
		p.run()
		total.add(&p.tally)
		return p.steps
	})
	t.Logf("%d steps: %d requests, %d of which failed; %d changes, %d looks without a secret, %d skewed, %d stores",
		total.steps, total.asked, total.failed, total.changes, total.missing, total.skewed, total.stores)
	if all && min(total.asked, total.failed, total.changes, total.missing, total.skewed) == 0 {
		t.Error("the schedule attacks less than it says")
	}
}

type tally struct{ steps, asked, failed, changes, missing, skewed, stores int }

func (c *tally) add(o *tally) {
	c.steps += o.steps
	c.asked += o.asked
	c.failed += o.failed
	c.changes += o.changes
	c.missing += o.missing
	c.skewed += o.skewed
	c.stores += o.stores
}

// modelled is what may be seen of a store. What the vendor answered last is the secret, until it is
// too old; the one before it is remembered for 15 minutes; three answers in a row that show clocks
// too far apart refuse tokens, and one that does not ends that.
type modelled struct {
	current, previous string
	loaded, changed   time.Time
	beyond            int
	asked             time.Time // when the last request began
	spared            time.Time // until then the vendor wants to be left alone
}

// playing is a schedule: a vendor, the asker and one store.
type playing struct {
	tally

	t       *testing.T
	seed    uint64
	mu      sync.Mutex // of what follows
	random  *rand.Rand
	api     secret.API
	clock   systemClock
	asker   secret.Asker
	store   *secret.Store
	log     logbook
	vendor  string // its secret now
	model   modelled
	good    bool // every request is answered at once, and well
	trace   []string
	pending *inquiry
}

// inquiry is a request at the vendor.
type inquiry struct {
	answer chan error
	value  string
	ahead  time.Duration
	known  bool
}

func newPlay(t *testing.T, seed uint64) *playing {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 9))
	p := &playing{t: t, seed: seed, random: random, vendor: "canary of the vendor, number 0 of many"}
	p.api = secret.API{
		Refresh:  []time.Duration{time.Second, time.Minute, 5 * time.Minute}[random.IntN(3)],
		MaxStale: []time.Duration{time.Minute, 20 * time.Minute, 2 * time.Hour}[random.IntN(3)],
	}
	p.api.Client = p
	return p
}

// Settings is a request, which a step answers.
func (p *playing) Settings(ctx context.Context) (kustomer.Settings, error) {
	p.mu.Lock()
	now := time.Now()
	switch {
	case p.pending != nil:
		p.failf("two requests at once")
	case now.Sub(p.model.asked) < time.Second:
		p.failf("a request %v after the last one", now.Sub(p.model.asked))
	case now.Before(p.model.spared):
		p.failf("a request %v before the vendor allows it", p.model.spared.Sub(now))
	}
	p.asked++
	p.model.asked = now
	q := &inquiry{answer: make(chan error, 1)}
	p.pending = q
	if p.good {
		p.answerNow()
	}
	p.mu.Unlock()
	var err error
	select {
	case err = <-q.answer:
	case <-ctx.Done():
		err = ctx.Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pending == q {
		p.pending = nil
	}
	if err != nil {
		return kustomer.Settings{}, err
	}
	clock := kustomer.Clock{Known: q.known, Least: q.ahead - time.Second, Most: q.ahead}
	return kustomer.Settings{Secret: sensitive.New(q.value), Clock: clock}, nil
}

// open opens a store, which the asker asks for from then on.
func (p *playing) open() {
	p.mu.Lock()
	p.stores++
	p.model = modelled{}
	p.mu.Unlock()
	store, err := secret.Open(secret.Options{
		Organization: "acme", Now: p.clock.Now, Random: p.float, Asker: &p.asker,
		Logger: slog.New(slog.NewTextHandler(&p.log, nil)),
	}, secret.Source{API: &p.api})
	check(p.t, err)
	p.store = store
}

func (p *playing) float() float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.random.Float64()
}

// upTo returns a duration that is shorter than most.
func (p *playing) upTo(most time.Duration) time.Duration {
	return time.Duration(p.float() * float64(most))
}

func (p *playing) failf(format string, args ...any) {
	p.t.Helper()
	if !p.t.Failed() {
		p.t.Errorf("%s\nafter %d steps of MODEL_SEED=%d (refresh %v, stale after %v); the last ones: %s",
			fmt.Sprintf(format, args...), p.steps, p.seed, p.api.Refresh, p.api.MaxStale,
			strings.Join(p.trace[max(0, len(p.trace)-60):], ", "))
	}
}

// move is something that may happen at any time.
type move struct {
	name   string
	weight int
	do     func(*playing)
}

var moves = []move{
	{"answer", 30, (*playing).answer},
	{"wait", 20, func(p *playing) { p.pass(p.upTo(3 * time.Second)) }},
	{"wait minutes", 10, func(p *playing) { p.pass(p.upTo(10 * time.Minute)) }},
	{"wait long", 1, func(p *playing) { p.pass(p.upTo(3 * time.Hour)) }},
	{"refresh", 15, func(p *playing) { p.store.Refresh() }},
	{"change", 1, (*playing).change},
	{"fail", 8, (*playing).refuse},
	{"wrong answer", 3, (*playing).wrong},
	{"step clock", 2, func(p *playing) { p.clock.set(p.upTo(20*time.Minute) - 10*time.Minute) }},
	{"set clock right", 3, func(p *playing) { p.clock.set(0) }},
	{"heal", 1, (*playing).heal},
	{"reopen", 1, func(p *playing) { p.store.Close(); synctest.Wait(); p.open() }},
}

func (p *playing) run() {
	ctx, cancel := context.WithCancel(p.t.Context())
	var running sync.WaitGroup
	p.open()
	running.Go(func() { p.asker.Run(ctx) })
	synctest.Wait()
	weights := 0
	for _, m := range moves {
		weights += m.weight
	}
	for range 300 {
		at, next := int(p.float()*float64(weights)), 0
		for ; at >= moves[next].weight; next++ {
			at -= moves[next].weight
		}
		p.steps++
		p.trace = append(p.trace, moves[next].name)
		moves[next].do(p)
		synctest.Wait()
		p.look()
		if p.t.Failed() {
			break
		}
	}
	p.heal()
	cancel()
	running.Wait()
	p.log.assertNoCanary(p.t)
}

// look compares what a call sees now with the model.
func (p *playing) look() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	now, m := time.Now(), &p.model
	available := m.current != "" && now.Sub(m.loaded) <= p.api.MaxStale
	seen, err := p.store.Snapshot()
	switch {
	case !available:
		p.missing++
		if !errors.Is(err, secret.ErrUnavailable) || !seen.Current.Value.IsEmpty() || seen.HasPrevious {
			p.failf("there is a secret, and there must be none: %v", err)
		}
	case err != nil:
		p.failf("no secret: %v", err)
	case seen.Current.Value.Reveal() != m.current:
		p.failf("another secret than the last one that the vendor named")
	case seen.HasPrevious != (m.previous != "" && now.Sub(m.changed) < 15*time.Minute):
		p.failf("a previous secret: %t, %v after the change", seen.HasPrevious, now.Sub(m.changed))
	case seen.HasPrevious && seen.Previous.Value.Reveal() != m.previous:
		p.failf("another previous secret")
	}
	skewed := m.beyond >= 3
	if skewed {
		p.skewed++
	}
	if err := p.store.Skewed(); errors.Is(err, secret.ErrClockSkewed) != skewed {
		p.failf("skewed: %v, after %d answers in a row that show it", err, m.beyond)
	}
	if err := p.store.Ready(); (err == nil) != (available && !skewed) {
		p.failf("ready: %v, with a secret %t and skewed %t", err, available, skewed)
	}
}
