package secret

import (
	"context"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/kustomer"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

const (
	// minGap is the least time between the starts of two requests to Kustomer.
	minGap = time.Second
	// clockCheck is how often the wall clock is checked for a step.
	clockCheck = 10 * time.Second
)

// refresh says how a source is asked repeatedly.
type refresh struct {
	load     func(ctx context.Context) (sensitive.String, kustomer.Clock, error)
	interval time.Duration // between two good loads, spread by 10 % either way
	minGap   time.Duration // between the starts of two attempts
}

// Refresh requests a load as soon as the source may be asked, and returns immediately. The channel
// gets the result of the load. Requests made before the load begins count as one. Kustomer's
// Retry-After and the limit of one attempt a second still apply. A source that is not asked, such as
// a file, has no load: the result is nil.
func (s *Store) Refresh() <-chan error {
	result := make(chan error, 1)
	if s.refresh == nil {
		result <- nil
		return result
	}
	s.mu.Lock()
	s.requests = append(s.requests, result)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default: // one is waiting already
	}
	return result
}

// requested returns those who have requested a load, and forgets them.
func (s *Store) requested() []chan error {
	s.mu.Lock()
	defer s.mu.Unlock()
	requests := s.requests
	s.requests = nil
	return requests
}

// run asks the source until the context ends. It alone changes the state.
func (s *Store) run(ctx context.Context) {
	failures := 0
	var due, mayAsk time.Duration
	for s.await(ctx, due, mayAsk) {
		started := s.options.Elapsed()
		requests := s.requested()
		value, clock, err := s.refresh.load(ctx)
		if ctx.Err() != nil {
			return
		}
		err = s.take(value, clock, err)
		mayAsk = started + s.refresh.minGap
		due = s.options.Elapsed() + s.interval()
		if err == nil {
			s.recovered(failures)
			failures = 0
		} else {
			s.warn(err)
			failures++
			mayAsk = max(mayAsk, s.options.Elapsed()+kustomer.RetryAfter(err))
			due = s.options.Elapsed() + kustomer.Pause(failures, err, s.options.Random())
		}
		for _, request := range requests { // last: what happened is in the log by now
			request <- err
		}
	}
}

// await returns true when the next attempt is due, or earlier if one was requested and the source
// may be asked, and false when the context has ended.
func (s *Store) await(ctx context.Context, due, mayAsk time.Duration) bool {
	for {
		remaining := max(due, mayAsk) - s.options.Elapsed()
		if remaining <= 0 {
			return ctx.Err() == nil
		}
		timer := time.NewTimer(min(remaining, clockCheck))
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-s.wake:
			due = 0
		case <-timer.C:
			if s.clock.stepped(s.options.Now(), s.options.Elapsed()) {
				s.options.Logger.Warn("the system clock was set; asking Kustomer for the time", "event", "clock_stepped")
				due = 0
			}
		}
		timer.Stop()
	}
}

// interval is the time to the next refresh after a good one.
func (s *Store) interval() time.Duration {
	interval := s.refresh.interval
	if s.clock.doubtful() {
		interval = min(interval, clockCheck)
	}
	const spread = 0.1
	return interval + time.Duration(spread*(2*s.options.Random()-1)*float64(interval))
}

// recovered tells that the source answers again.
func (s *Store) recovered(failures int) {
	s.failureNotice = notice{}
	if failures > 0 {
		s.options.Logger.Info("the signing secret is refreshed again", "event", "secret_refresh_recovered",
			"source", s.source, "failures", failures)
	}
}

// warn logs why an attempt failed, the same reason at most once a minute.
func (s *Store) warn(err error) {
	if !s.failureNotice.due(err.Error(), s.options.Elapsed()) {
		return
	}
	now := s.now.Load()
	if now.current.ID == "" {
		s.options.Logger.Warn("no signing secret", "event", "secret_refresh_failed", "source", s.source, "error", err.Error())
		return
	}
	s.options.Logger.Warn("the signing secret could not be refreshed; keeping the last good one",
		"event", "secret_refresh_failed", "source", s.source, "secret_id", now.current.ID,
		"age_seconds", (s.options.Elapsed() - now.loadedAt).Seconds(), "error", err.Error())
}
