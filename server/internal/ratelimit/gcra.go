package ratelimit

import "time"

// gcra is the generic cell rate algorithm. A budget is one time stamp, its
// theoretical arrival time (tat): the moment at which everything spent so far
// will have been earned back. One call moves it by the rate's interval; it may
// run ahead of now by no more than the time that earns the whole burst.
//
// It returns the tat that passing leaves behind, and how long the call must wait
// for that, 0 meaning that it may pass now. Nothing is spent until the caller stores that.
// All times are on one clock of the caller's choice; the rate must not be off.
func gcra(now, tat time.Duration, rate Rate) (time.Duration, time.Duration) {
	// Time past earns nothing beyond the burst.
	next := max(tat, now) + rate.interval
	return next, max(0, next-furthest(now, rate))
}

// furthest is the tat of an empty budget. One that lies beyond was left by a
// slower rate, since replaced: it must be brought back to this and stored, so
// that the new rate can begin to earn.
func furthest(now time.Duration, rate Rate) time.Duration { return now + rate.refill() }
