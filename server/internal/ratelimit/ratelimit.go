// Package ratelimit decides whether a call may pass. It knows keys and rates, not gRPC or people.
//
// A call spends a budget of each limit: the one of all callers, its caller's, its customer's. It
// spends all of them or none. [Local] decides from the memory of this process; package redis keeps
// budgets that replicas share, with a Local beside them.
//
// A budget is a single time stamp, its theoretical arrival time (TAT) by the generic cell rate
// algorithm (GCRA; ITU-T I.371, "virtual scheduling"). In any stretch of time t it admits at most
// burst + rate × t.
package ratelimit

import "time"

// Key tells one budget of a limit from another. Two keys are the same when all three parts are; no
// part is interpreted. The zero value is a key too, and the right one for [Global].
type Key struct {
	Kind  string // what Name is: an identifier's kind, a kind of caller
	Scope string // where Name means something: an organization
	Name  string
}

// Budget is what a call spends of one limit.
type Budget struct {
	Key  Key
	Rate Rate // the zero Rate admits every call and spends nothing
	// Local is set when Key means something else in another replica. A shared store leaves such a
	// budget to each process.
	Local bool
}

// IsShared reports whether a shared store counts the budget.
func (b *Budget) IsShared() bool { return !b.Local && !b.Rate.IsOff() }

// Budgets is everything that one call spends, indexed by [Limit]. The zero value spends nothing
// and is admitted.
type Budgets [limitCount]Budget

// AreShared reports whether a shared store counts any of them.
func (b *Budgets) AreShared() bool {
	for i := range b {
		if b[i].IsShared() {
			return true
		}
	}
	return false
}

// Decision says whether a call may pass. The zero value refuses.
type Decision struct {
	Allowed bool
	// Limit is the one that refused the call: if several did, the one with the longest wait. It has
	// no meaning for an allowed call.
	Limit Limit
	// RetryAfter is how long to wait until every budget admits the call, if nobody else spends
	// meanwhile. A [Local] is exact to the nanosecond. It is positive for a refused call and zero
	// for an allowed one.
	RetryAfter time.Duration
}

// refuse records that limit makes the call wait.
func (d *Decision) refuse(limit Limit, wait time.Duration) {
	d.Allowed = false
	if wait > d.RetryAfter {
		d.Limit, d.RetryAfter = limit, wait
	}
}
