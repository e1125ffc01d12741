package ratelimit

import "time"

// Reservation holds a call's place in its budgets while a shared store is asked about it. Other
// calls are meanwhile decided as if it had been spent; if it is given back it leaves no trace. So
// whatever the store answers, and however many calls wait for it, no budget is exceeded here. A
// call that is refused meanwhile may be told to wait longer than it turns out to need.
//
// Spending first and refunding later would not do: it would count twice what the budget earns in
// between.
type Reservation struct {
	local   *Local
	attempt attempt
}

// Answer is what a shared store says about a call. The zero value gives the call back.
type Answer struct {
	Allowed bool
	// Ahead is how far the TAT of each budget, indexed by [Limit], lies ahead of the store's clock:
	// with the call if it was allowed, without it if not. It is 0 for a budget that the store does
	// not count.
	Ahead [limitCount]time.Duration
}

// Reserve decides as [Local.Take] does but spends nothing yet. An allowed reservation must be
// settled.
func (l *Local) Reserve(budgets *Budgets) (*Reservation, Decision) {
	r := &Reservation{local: l, attempt: l.newAttempt(budgets)}
	now := l.clock()
	r.attempt.lock()
	defer r.attempt.unlock()
	decision := l.decide(&r.attempt, now)
	if decision.Allowed {
		r.count(1)
	}
	return r, decision
}

// Settle ends the reservation: it spends the call or gives it back. Where the store is further
// ahead than the local budget, that catches up: what the store found empty is known to be empty
// here too, until the moment at which the store would admit again.
func (r *Reservation) Settle(answer Answer) {
	now := r.local.clock()
	r.attempt.lock()
	defer r.attempt.unlock()
	r.count(-1)
	for i := range r.attempt {
		b := &r.attempt[i]
		if b.shard == nil {
			continue
		}
		latest := b.shard.advance(now)
		e := r.local.tables[i].find(b.hash) // another budget may have taken its entry
		tat := e.tatOf(b.hash, latestTAT(latest, b.rate))
		if answer.Allowed {
			tat, _ = gcra(latest, tat, b.rate)
		}
		// The store may have counted calls that are still reserved here, and will be spent here
		// too.
		ahead := b.rate.bounded(answer.Ahead[i]) - time.Duration(b.shard.reserved[b.hash])*b.rate.interval
		tat = max(tat, latest+ahead)
		if tat > latest {
			b.shard.store(e, b.hash, tat)
		}
	}
}

// count adds n to the reservations of the call's budgets. The attempt must be locked.
func (r *Reservation) count(n int32) {
	for i := range r.attempt {
		if b := &r.attempt[i]; b.shard != nil {
			b.shard.reserve(b.hash, n)
		}
	}
}

// Decision names the budget that made the store refuse the call. RetryAfter is 0 if none did.
func (a *Answer) Decision(budgets *Budgets) Decision {
	decision := Decision{Allowed: a.Allowed}
	for limit := range limitCount {
		b := &budgets[limit]
		if a.Allowed || !b.IsShared() {
			continue
		}
		if _, wait := gcra(0, b.Rate.bounded(a.Ahead[limit]), b.Rate); wait > 0 {
			decision.refuse(limit, wait)
		}
	}
	return decision
}
