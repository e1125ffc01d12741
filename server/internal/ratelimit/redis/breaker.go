package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/outage"
	"github.com/chatidentity/chatidentity/server/internal/retry"
)

// state is what is known about the server.
type state int32

const (
	starting state = iota // it has neither answered nor been declared down
	up
	down
)

const (
	// tolerated is how many failures in a row declare a server down.
	tolerated = 3
	// steady is how long a server must stay up before the pauses start over, so that one that comes
	// and goes is not followed at every turn.
	steady = 10 * time.Second
)

// pauses are those between probes of a server that is down.
var pauses = retry.Doubling{First: 100 * time.Millisecond, Longest: 5 * time.Second}

// breaker is a circuit breaker: it keeps calls from asking a server that does not answer, and finds
// out in the background when it does again.
type breaker struct {
	probe  func(context.Context) error
	clock  func() time.Duration
	jitter func() float64
	log    *slog.Logger
	policy Failure
	outage *outage.Outage
	// explain says what is wrong in words of our own.
	explain func(err error) error

	state    atomic.Int32
	failures atomic.Int32          // in a row
	lastFail atomic.Int64          // when the last of them was counted, on clock
	cause    atomic.Pointer[error] // of the last of them
	wentDown chan struct{}
	changes  [down + 1]atomic.Uint64 // to each state
}

func newBreaker(probe func(context.Context) error, clock func() time.Duration, o *Options) *breaker {
	b := &breaker{
		probe: probe, clock: clock, jitter: o.Jitter, log: o.Log, policy: o.Failure,
		explain:  func(err error) error { return err },
		wentDown: make(chan struct{}, 1),
	}
	b.outage = outage.New("limiter", o.Log.With("policy", o.Failure.String()), b.trouble)
	return b
}

// trouble is why limits are not shared now. A server that fails to answer some calls alone is no
// trouble where those are decided locally; where they are refused, it is until it has failed none
// for a while.
func (b *breaker) trouble() error {
	failed := b.cause.Load()
	switch {
	case b.is(down):
		return fmt.Errorf("redis does not answer: rate limits are no longer shared: %w", *failed)
	case failed != nil && b.policy == FailClosed && b.clock()-time.Duration(b.lastFail.Load()) < steady:
		return fmt.Errorf("redis does not answer some calls, which are refused: %w", *failed)
	default:
		return nil
	}
}

func (b *breaker) is(s state) bool { return state(b.state.Load()) == s }

// answered counts a call that the server answered.
func (b *breaker) answered() {
	if b.failures.Load() != 0 {
		b.failures.Store(0)
	}
	if b.change(starting, up) {
		b.log.Info("redis answers: rate limits are shared", "event", "limiter_shared")
	}
}

// failed counts a call, begun at that time, that the server did not answer. Concurrent calls that
// failed count as one failure, not as several in a row.
func (b *breaker) failed(began time.Duration, err error) {
	last := b.lastFail.Load()
	if int64(began) < last || !b.lastFail.CompareAndSwap(last, int64(b.clock())) {
		return
	}
	explained := b.explain(err)
	b.cause.Store(&explained)
	defer b.outage.Look()
	if b.failures.Add(1) < tolerated {
		return
	}
	if b.change(up, down) || b.change(starting, down) {
		select {
		case b.wentDown <- struct{}{}:
		default:
		}
	}
}

// change moves from one state to another, and reports whether it did.
func (b *breaker) change(from, to state) bool {
	if !b.is(from) || !b.state.CompareAndSwap(int32(from), int32(to)) {
		return false
	}
	b.changes[to].Add(1)
	return true
}

// ready returns nil once it is known whether the server answers.
func (b *breaker) ready() error {
	if b.is(starting) {
		return errors.New("redis has not answered yet")
	}
	return nil
}

// run probes until the server answers, and again whenever it went down, until the context ends.
func (b *breaker) run(ctx context.Context) {
	for failures := 1; ; failures++ {
		if b.recovered(ctx) {
			since := time.Now()
			select {
			case <-ctx.Done():
			case <-b.wentDown:
			}
			if time.Since(since) >= steady {
				failures = 1
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pauses.Pause(failures, 0, b.jitter())):
		}
	}
}

func (b *breaker) recovered(ctx context.Context) bool {
	began := b.clock()
	if err := b.probe(ctx); err != nil {
		b.failed(began, err)
		return false
	}
	select {
	case <-b.wentDown: // that is over
	default:
	}
	b.answered()
	b.change(down, up)
	b.outage.Look()
	return true
}
