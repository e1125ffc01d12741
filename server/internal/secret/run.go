package secret

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/kustomer"
)

const (
	// minGap is the least time between the starts of two requests to Kustomer.
	minGap = time.Second
	// fileSettle is how long after a change a file is read: a file that is written in
	// place is empty for a moment.
	fileSettle = 20 * time.Millisecond
	// clockCheck is how often the wall clock is checked for a step.
	clockCheck = 10 * time.Second
)

// plan is when a source is asked.
type plan struct {
	interval time.Duration // between two good loads; 0: never again
	spread   float64       // by how much of it an interval varies either way
	minGap   time.Duration // between the starts of two attempts
	settle   time.Duration // from a request to refresh to the attempt
	backOff  bool          // after a failure: pause as kustomer.Pause says
	maxStale time.Duration // 0: a secret is never too old
	maxSkew  time.Duration
}

// Run keeps the stores current until the context ends, then returns when all is
// stopped. It is called once for all stores: they share one directory watch, as
// the kernel gives a user few. The logger may be nil.
func Run(ctx context.Context, logger *slog.Logger, stores ...*Store) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	var running sync.WaitGroup
	defer running.Wait()
	for _, store := range stores {
		if store.plan.interval > 0 {
			running.Go(func() { store.run(ctx) })
		}
	}
	running.Go(func() { watchDirectories(ctx, logger, stores, defaultPoll) })
	<-ctx.Done()
}

// run asks the source until the context ends. It alone changes the state.
func (s *Store) run(ctx context.Context) {
	failures := 0
	var due, mayAsk time.Duration
	if s.now.Load().current.ID != "" {
		due = s.options.Elapsed() + s.interval()
	}
	for s.await(ctx, due, mayAsk) {
		started := s.options.Elapsed()
		err := s.attempt(ctx)
		mayAsk = started + s.plan.minGap
		due = s.options.Elapsed() + s.interval()
		if err == nil {
			failures = 0
			continue
		}
		if ctx.Err() != nil {
			return
		}
		s.warn(err)
		failures++
		mayAsk = max(mayAsk, s.options.Elapsed()+kustomer.RetryAfter(err))
		if s.plan.backOff {
			due = s.options.Elapsed() + kustomer.Pause(failures, err, s.options.Random())
		}
	}
}

// await returns when the next attempt is due, or earlier if one was asked for and
// the source may be asked; false when the context ended.
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
			due = min(due, s.options.Elapsed()+s.plan.settle) // many changes do not put it off
		case <-timer.C:
			if s.watch.stepped(s.options.Now(), s.options.Elapsed()) {
				s.options.Logger.Warn("the system's clock was set; asking Kustomer for the time")
				due = s.options.Elapsed()
			}
		}
		timer.Stop()
	}
}

// interval is the time to the next refresh after a good one.
func (s *Store) interval() time.Duration {
	interval := s.plan.interval
	if s.watch.doubtful() {
		interval = min(interval, clockCheck)
	}
	return interval + time.Duration(s.plan.spread*(2*s.options.Random()-1)*float64(interval))
}
