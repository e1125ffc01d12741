package ratelimit

import (
	"cmp"
	"context"
	"hash/maphash"
	"time"
)

// DefaultCapacity is a number of customers for [NewLocal], and takes 16 MiB. At 10 calls a minute a
// call is earned back in 6 s, so with up to 50,000 new customers a second hardly any budget in use
// is forgotten.
const DefaultCapacity = 1 << 20

// Local counts in the memory of this process. It is safe for concurrent use, never grows, and has
// no goroutine or timer.
//
// Each limit has a table of its own, so customers cannot push out callers. A key can be in any of
// the 16 entries of its set. When all of them are in use, the budget that is nearest to rest is
// forgotten: its owner is forgiven what it had not yet earned back, and nobody else loses anything.
//
// An attacker who wants a used-up budget forgotten must use up the budgets of the 15 other
// customers in the same set. Each process chooses at random which keys share a set, so the attacker
// has to do that in all sets: at the default capacity, a million customers' whole bursts buy one
// burst. [Local.Evictions] counts the budgets that were forgotten.
type Local struct {
	clock  func() time.Duration
	seed   maphash.Seed
	tables [limitCount]table
}

// NewLocal makes room for at least capacity customers, 16 bytes each, rounded up to a power of
// two. It allocates all memory at once, but that becomes resident only as it is used. The clock
// must not go back, and may start anywhere: use [Monotonic] outside tests.
func NewLocal(capacity int, clock func() time.Duration) *Local {
	l := &Local{clock: clock, seed: maphash.MakeSeed()}
	for i := range limits {
		l.tables[i] = newTable(cmp.Or(limits[i].capacity, capacity))
	}
	return l
}

// Monotonic returns a clock that counts from this call and ignores changes to the time of day.
func Monotonic() func() time.Duration {
	start := time.Now()
	return func() time.Duration { return time.Since(start) }
}

// Take admits the call and spends every budget, or refuses it and spends none. It does not use the
// context, and the error is always nil: the signature is that of the shared limiter.
func (l *Local) Take(_ context.Context, budgets Budgets) (Decision, error) {
	return l.takeAt(l.clock(), &budgets), nil
}

// Evictions returns how many budgets of a limit were forgotten while still in use.
func (l *Local) Evictions(limit Limit) uint64 { return l.tables[limit].evictions() }

// Peek returns what Take would decide now, and spends nothing.
func (l *Local) Peek(budgets *Budgets) Decision {
	a := l.newAttempt(budgets)
	now := l.clock()
	a.lock()
	defer a.unlock()
	return l.decide(&a, now)
}

func (l *Local) takeAt(now time.Duration, budgets *Budgets) Decision {
	a := l.newAttempt(budgets)
	a.lock()
	defer a.unlock()
	decision := l.decide(&a, now)
	if !decision.Allowed {
		return decision
	}
	for i := range a {
		if b := &a[i]; b.shard != nil {
			b.shard.store(b.entry, b.hash, b.tat)
		}
	}
	return decision
}

// attempt is a call that tries to pass, indexed by [Limit].
type attempt [limitCount]struct {
	rate  Rate
	hash  uint64
	shard *shard // nil: the rate is off
	entry *entry
	tat   time.Duration // of the budget if the call passes
}

func (l *Local) newAttempt(budgets *Budgets) attempt {
	var a attempt
	for i := range budgets {
		if b := &budgets[i]; !b.Rate.IsOff() {
			hash := l.hash(&b.Key)
			a[i].rate, a[i].hash, a[i].shard = b.Rate, hash, l.tables[i].shardOf(hash)
		}
	}
	return a
}

// lock takes one lock for each budget. All calls take them in the order of the limits, so no two
// wait for each other.
func (a *attempt) lock() {
	for i := range a {
		if s := a[i].shard; s != nil {
			s.mu.Lock()
		}
	}
}

func (a *attempt) unlock() {
	for i := range a {
		if s := a[i].shard; s != nil {
			s.mu.Unlock()
		}
	}
}

// hash is never 0, which marks an unused entry.
func (l *Local) hash(key *Key) uint64 {
	if *key == (Key{}) { // the global budget's, on every call
		return 1
	}
	return max(1, maphash.Comparable(l.seed, *key))
}

// decide finds the budgets and asks each. The attempt must be locked.
func (l *Local) decide(a *attempt, now time.Duration) Decision {
	decision := Decision{Allowed: true}
	for limit := range limitCount {
		b := &a[limit]
		if b.shard == nil {
			continue
		}
		b.entry = l.tables[limit].find(b.hash)
		latest := b.shard.advance(now)
		full := latestTAT(latest, b.rate)
		var wait time.Duration
		b.tat, wait = gcra(latest, b.entry.tatOf(b.hash, full), b.rate)
		if len(b.shard.reserved) > 0 { // as if they were all spent first
			wait = max(wait, b.tat+time.Duration(b.shard.reserved[b.hash])*b.rate.interval-full)
		}
		if wait > 0 { // it counts from this call's own reading of the clock
			decision.refuse(limit, wait+latest-now)
		}
	}
	return decision
}
