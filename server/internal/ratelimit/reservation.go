package ratelimit

import "time"

// reservation keeps one call's place in every budget that it demands, while
// somebody else is asked. Until it is settled, other calls are decided as if it
// had been spent; given back, it leaves no trace. So whatever the answer is and
// however many calls wait for theirs, no budget is exceeded here. A call that is
// refused meanwhile may be told to wait longer than it turns out to need.
//
// Spending first and taking it back afterwards would not do: what the budget
// earns in between would be counted twice.
type reservation struct {
	local *Local
	check check
	// spend says whether settling spends or gives back.
	spend bool
	// debts is how far each budget has run ahead by the other's account, 0 where
	// it has none.
	debts [dimensions]time.Duration
}

// reserve admits as Take does, but spends nothing yet. An allowed reservation
// must be settled.
func (l *Local) reserve(demands *Demands) (*reservation, Decision) {
	r := &reservation{local: l, check: l.newCheck(demands)}
	now := l.clock()
	l.mu.Lock()
	defer l.mu.Unlock()
	decision := l.run(&r.check, now)
	if decision.Allowed {
		r.forEach(func(b budget) { l.pending[b]++ })
	}
	return r, decision
}

// settle ends the reservation. The local budgets are brought up to the debts, if
// those are larger: a budget that the other found empty is then known to be empty
// here too, until the moment at which the other would admit again. The other saw
// its clock after r.asked, so that moment is never put too late.
func (r *reservation) settle() {
	l := r.local
	now := l.clock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.latest = max(l.latest, now)
	r.forEach(func(b budget) {
		if l.pending[b]--; l.pending[b] == 0 {
			delete(l.pending, b)
		}
		rate := r.check.demands[b.dimension].Rate
		table := &l.tables[b.dimension]
		e := table.place(b.hash)
		tat := e.owed(b.hash, furthest(l.latest, rate))
		if r.spend {
			tat, _ = gcra(l.latest, tat, rate)
		}
		if debt := r.debts[b.dimension]; debt > 0 {
			tat = max(tat, l.latest+debt)
		}
		if tat > l.latest {
			table.store(e, b.hash, tat, l.latest)
		}
	})
}

// forEach visits the budgets that have a limit.
func (r *reservation) forEach(visit func(budget)) {
	for d := range r.check.demands {
		if !r.check.demands[d].Rate.IsOff() {
			visit(budget{Dimension(d), r.check.hashes[d]})
		}
	}
}
