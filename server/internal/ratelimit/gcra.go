package ratelimit

import "time"

// gcra is the generic cell rate algorithm for one call at one budget. The budget's theoretical
// arrival time (TAT) is the moment at which everything spent so far will have been earned back. A
// call moves it on by the rate's emission interval; it may be ahead of now by at most the time
// that earns the whole burst.
//
// It returns the TAT after the call, and how long the call has to wait before it may pass: 0 if it
// may pass now. Nothing is spent until the returned TAT is stored. All times are on one clock of
// the caller's choice. The rate must not be off.
func gcra(now, tat time.Duration, rate Rate) (time.Duration, time.Duration) {
	next := max(tat, now) + rate.interval // time past earns nothing beyond the burst
	return next, max(0, next-latestTAT(now, rate))
}

// latestTAT is the TAT of a budget that has spent its whole burst. A TAT beyond it stems from a
// slower rate that has since been replaced: it must be set back to this and stored, or the budget
// could not start to earn at the new rate.
func latestTAT(now time.Duration, rate Rate) time.Duration { return now + rate.Refill() }
