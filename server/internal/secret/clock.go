package secret

import (
	"fmt"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/kustomer"
)

const (
	// warnApart is the difference of clocks from which each answer gets a warning,
	// and the size from which a jump of our own clock is a step.
	warnApart = 30 * time.Second
	// answersToBelieve is how many fresh answers in a row must put the clocks too far
	// apart before tokens are refused: one may come from a broken proxy.
	answersToBelieve = 3
)

// clockWatch follows our clock against Kustomer's and against the monotonic one.
// It belongs to a store's loop.
type clockWatch struct {
	limit   time.Duration // 0: not watched
	beyond  int           // fresh answers in a row beyond the limit
	wall    time.Time     // the wall clock at the last check
	elapsed time.Duration // the monotonic one then
}

// stepped reports whether the wall clock was set since the last call.
func (w *clockWatch) stepped(now time.Time, elapsed time.Duration) bool {
	now = now.Round(0) // without its monotonic part, which knows no steps
	first := w.wall.IsZero()
	step := now.Sub(w.wall) - (elapsed - w.elapsed)
	w.wall, w.elapsed = now, elapsed
	return w.limit > 0 && !first && step.Abs() >= warnApart
}

// doubtful reports whether the next answer should come soon, to settle whether the
// clock is right.
func (w *clockWatch) doubtful() bool { return w.beyond > 0 }

// observe takes in what a fresh answer said about Kustomer's clock.
func (s *Store) observe(next *state, clock kustomer.Clock) {
	if !clock.Known || s.clock.limit <= 0 {
		return
	}
	next.clock = clock
	apart := clock.Apart()
	if apart >= warnApart && s.clockNotice.due("apart", s.options.Elapsed()) {
		s.options.Logger.Warn("our clock differs from Kustomer's", "kustomer_minus_ours_seconds", clock.Offset().Seconds())
	}
	if apart <= s.clock.limit {
		s.clock.beyond = 0
		if next.skewed != nil {
			next.skewed = nil
			s.options.Logger.Info("our clock agrees with Kustomer's again")
		}
		return
	}
	s.clock.beyond++
	if s.clock.beyond >= answersToBelieve {
		next.skewed = fmt.Errorf("%w by at least %s (more than %s is refused): set this machine's clock",
			ErrClockSkewed, apart.Round(time.Second), s.clock.limit)
	}
}
