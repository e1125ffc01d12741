package secret

import (
	"fmt"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/kustomer"
)

const (
	// WarnApart is the clock difference that causes a warning, and the jump of our own clock that
	// counts as a step.
	WarnApart = 30 * time.Second
	// WarnClock is the warning.
	WarnClock = "our clock differs from Kustomer's"
	// answersToBelieve is how many fresh answers in a row must show clocks too far apart before
	// tokens are refused: a single one may come from a broken proxy.
	answersToBelieve = 3
)

// clockWatch compares our clock with Kustomer's and with the monotonic clock. It belongs to a
// store's loop.
type clockWatch struct {
	limit   time.Duration // 0: not watched
	beyond  int           // fresh answers in a row beyond the limit
	wall    time.Time     // the wall clock at the last check
	elapsed time.Duration // the monotonic clock at the last check
}

// stepped reports whether the wall clock was set since the last call.
func (w *clockWatch) stepped(now time.Time, elapsed time.Duration) bool {
	now = now.Round(0) // without the monotonic part, which never steps
	first := w.wall.IsZero()
	step := now.Sub(w.wall) - (elapsed - w.elapsed)
	w.wall, w.elapsed = now, elapsed
	return w.limit > 0 && !first && step.Abs() >= WarnApart
}

// doubtful reports whether another answer is needed soon, to decide whether the clock is right.
func (w *clockWatch) doubtful() bool { return w.beyond > 0 }

// observe notes what a fresh answer says about Kustomer's clock.
func (s *Store) observe(next *state, clock kustomer.Clock) {
	if !clock.Known || s.clock.limit <= 0 {
		return
	}
	next.clock = clock
	apart := clock.Apart()
	if apart >= WarnApart && s.clockNotice.due("apart", s.options.Elapsed()) {
		s.options.Logger.Warn(WarnClock, "event", "clock_differs", "kustomer_minus_ours_seconds", clock.Offset().Seconds())
	}
	if apart <= s.clock.limit {
		s.clock.beyond, next.skewed = 0, nil
		return
	}
	s.clock.beyond++
	if s.clock.beyond >= answersToBelieve {
		next.skewed = fmt.Errorf("%w by at least %s (more than %s is refused): set this machine's clock",
			ErrClockSkewed, apart.Round(time.Second), s.clock.limit)
	}
}
