package ratelimit

import (
	"context"
	"hash/maphash"
	"sync"
	"time"
)

// DefaultCapacity is a number of customers for [NewLocal]: 16 MiB. At 10 calls a
// minute, one call is earned back in 6 s: up to 50,000 new customers a second,
// hardly any budget in use is forgotten.
const DefaultCapacity = 1 << 20

// callerCapacity is far above the number of callers that one pod sees.
const callerCapacity = 4096

// Local counts in the memory of this process. It is safe for concurrent use. It
// never grows, and has no goroutine or timer.
//
// Each dimension has a table of its own, so customers cannot push out callers.
// When the 16 entries of a key's set are all in use, the budget that is nearest
// to rest is forgotten for the new one: its owner is forgiven what it had not
// yet earned back, and nothing is lost for the others. To be forgotten in an
// empty budget on purpose, 15 other customers of the same set must each have
// spent as much or more first. Which keys share a set is random in each process,
// so whoever wants that has to spend as much for all sets: at the default
// capacity, a whole burst for each of about a million customers buys one burst.
// [Local.Evictions] counts.
type Local struct {
	clock func() time.Duration
	seed  maphash.Seed

	mu      sync.Mutex
	latest  time.Duration // of all the times seen
	tables  [dimensions]table
	pending map[budget]int32 // reservations not yet settled
}

// budget names one entry of a Local.
type budget struct {
	dimension Dimension
	hash      uint64
}

// NewLocal makes room for at least capacity customers, 16 bytes each, rounded up
// to a power of two. All memory is taken now, but becomes resident only as it is
// used. The clock is [Monotonic] outside tests: what it starts from does not
// matter, but it must not go back.
func NewLocal(capacity int, clock func() time.Duration) *Local {
	return &Local{
		clock:   clock,
		seed:    maphash.MakeSeed(),
		tables:  [dimensions]table{newTable(1), newTable(callerCapacity), newTable(capacity)},
		pending: make(map[budget]int32),
	}
}

// Monotonic returns the process's clock: the time since this call, whatever is
// done to the time of day.
func Monotonic() func() time.Duration {
	start := time.Now()
	return func() time.Duration { return time.Since(start) }
}

// Take admits the call and spends every demand, or refuses it and spends none.
// The context is not used and the error always nil: they are there for a caller
// that may have a [Redis] instead.
func (l *Local) Take(_ context.Context, demands Demands) (Decision, error) {
	return l.takeAt(l.clock(), &demands), nil
}

// Evictions is how many budgets of a dimension were forgotten while they were
// still in use.
func (l *Local) Evictions(d Dimension) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tables[d].evictions
}

func (l *Local) takeAt(now time.Duration, demands *Demands) Decision {
	c := l.newCheck(demands)
	l.mu.Lock()
	defer l.mu.Unlock()
	decision := l.run(&c, now)
	if decision.Allowed {
		for d := range c.places {
			if e := c.places[d]; e != nil {
				l.tables[d].store(e, c.hashes[d], c.next[d], l.latest)
			}
		}
	}
	return decision
}

// check is one look at the budgets of a call's demands.
type check struct {
	demands *Demands
	hashes  [dimensions]uint64
	places  [dimensions]*entry        // nil: no limit
	next    [dimensions]time.Duration // the tat that passing leaves
}

func (l *Local) newCheck(demands *Demands) check {
	c := check{demands: demands}
	for d := range demands {
		if !demands[d].Rate.IsOff() {
			c.hashes[d] = l.hash(&demands[d].Key)
		}
	}
	return c
}

// hash is never 0, which marks an entry that nobody owns.
func (l *Local) hash(key *Key) uint64 {
	if *key == (Key{}) { // the global budget's, on every call
		return 1
	}
	return max(1, maphash.Comparable(l.seed, *key))
}

// run finds the budgets and asks each. The lock must be held.
func (l *Local) run(c *check, now time.Duration) Decision {
	// Two calls may read the clock in one order and get here in the other. For
	// the later one time stands still, and its wait counts from its own reading.
	l.latest = max(l.latest, now)
	behind := l.latest - now
	decision := Decision{Allowed: true}
	for d := range c.demands {
		rate := c.demands[d].Rate
		if rate.IsOff() {
			continue
		}
		e := l.tables[d].place(c.hashes[d])
		c.places[d] = e
		var wait time.Duration
		c.next[d], wait = gcra(l.latest, e.owed(c.hashes[d], furthest(l.latest, rate)), rate)
		wait = max(wait, l.reserved(budget{Dimension(d), c.hashes[d]}, c.next[d], rate))
		if wait > 0 {
			decision.refuse(Dimension(d), wait+behind)
		}
	}
	return decision
}

// reserved is the wait if all reservations are spent before this call, which by
// itself would leave the tat next.
func (l *Local) reserved(b budget, next time.Duration, rate Rate) time.Duration {
	if len(l.pending) == 0 {
		return 0
	}
	return next + time.Duration(l.pending[b])*rate.interval - furthest(l.latest, rate)
}
