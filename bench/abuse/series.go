package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// deadline of each good call.
const deadline = time.Second

// series is calls made at an interval, each whether or not the one before has
// been answered.
type series struct {
	interval time.Duration
	call     func(context.Context) error

	mu   sync.Mutex
	done []outcome
}

func every(interval time.Duration, call func(context.Context) error) *series {
	return &series{interval: interval, call: call}
}

type outcome struct {
	sent time.Time
	took time.Duration
	err  error
}

// run calls until ctx ends, and returns when the last call has its answer.
func (s *series) run(ctx context.Context) {
	ticker := time.NewTicker(s.interval)
	defer ticker.Stop()
	var calls sync.WaitGroup
	defer calls.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			calls.Go(s.once)
		}
	}
}

func (s *series) once() {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	sent := time.Now()
	err := s.call(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = append(s.done, outcome{sent, time.Since(sent), err})
}

// summary is what became of the calls of some time.
type summary struct {
	sent, ok, late int
	p50, p99       time.Duration // a lost call counts as its whole deadline
	lastFailure    time.Time     // when it was sent
	why            string        // of a failure
}

func (s summary) lost() int { return s.sent - s.ok }

// between sums up the calls that were sent then.
func (s *series) between(from, to time.Time) summary {
	s.mu.Lock()
	defer s.mu.Unlock()
	var sum summary
	var took []time.Duration
	for _, o := range s.done {
		if o.sent.Before(from) || !o.sent.Before(to) {
			continue
		}
		sum.sent++
		if o.err == nil {
			sum.ok++
			took = append(took, o.took)
			continue
		}
		took = append(took, deadline)
		if isLate(o.err) {
			sum.late++
		}
		sum.why = o.err.Error()
		if o.sent.After(sum.lastFailure) {
			sum.lastFailure = o.sent
		}
	}
	if len(took) > 0 {
		slices.Sort(took)
		sum.p50, sum.p99 = took[len(took)/2], took[len(took)*99/100]
	}
	return sum
}

func isLate(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || status.Code(err) == codes.DeadlineExceeded
}
