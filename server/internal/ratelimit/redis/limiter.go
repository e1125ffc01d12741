// Package redis keeps the budgets that replicas share in a Redis server.
package redis

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/chatidentity/chatidentity/server/internal/outage"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
)

// ErrUnavailable is the error of [FailClosed] while Redis does not answer.
var ErrUnavailable = errors.New("rate limits cannot be counted: redis does not answer")

// Limiter counts shared budgets in Redis (5.0 or later): a server, the node of a Cluster that holds
// the prefix's hash tag, or the primary that Sentinels name. It is safe for concurrent use.
//
// A decision first asks the local budgets, which decide about what is not shared and remember every
// answer of the server: a budget known to be empty costs no round trip until it may admit again.
// Then the decision makes one round trip for all shared budgets, on the server's clock (to the
// microsecond). A call that passes is spent in both places, so falling back never grants a fresh
// burst.
//
// This process alone never admits more than burst + rate × t of any budget, shared or not: local
// budgets are reserved before the server is asked, then spent or given back. All replicas together
// keep to one budget while the server answers and keeps what it is told. A server that comes back
// empty, or whose clock is set forward, has forgotten what was spent. A call whose answer came too
// late may have been spent there all the same.
//
// After three failures in a row (concurrent calls count once) the server is not asked any more,
// until a probe in the background finds that it answers in time.
type Limiter struct {
	local   *ratelimit.Local
	clock   func() time.Duration
	options Options
	dialer  *dialer
	route   route
	script  keyed
	decide  func(context.Context, *goredis.Client, *ratelimit.Budgets) (ratelimit.Answer, error) // the server does
	client  atomic.Pointer[goredis.Client]
	breaker *breaker
	metrics *metrics
}

// New checks the options and does not connect yet. [Limiter.Run] must run while decisions are made.
func New(local *ratelimit.Local, options Options) (*Limiter, error) {
	if err := options.validate(); err != nil {
		return nil, err
	}
	place, err := parseURL(options.URL)
	if err != nil {
		return nil, err
	}
	if options.TLS != nil && !place.isTLS {
		return nil, errors.New("TLS is configured, but the URL is not rediss://")
	}
	// The library would print on standard error what the breaker logs once.
	logging.Disable()
	l := &Limiter{
		local:   local,
		clock:   ratelimit.Monotonic(),
		options: options,
		script:  keyed{options: &options},
		metrics: newMetrics(),
	}
	l.decide = l.script.run
	l.dialer = &dialer{place, &options, l.clock}
	l.breaker = newBreaker(l.probe, l.clock, &options)
	l.breaker.explain = l.explain
	l.route = newRoute(l.dialer)
	l.client.Store(l.route.client())
	return l, nil
}

// Run finds out whether the server answers, at the start and after each failure, until the context
// ends. Then it closes the connections.
func (l *Limiter) Run(ctx context.Context) {
	l.breaker.run(ctx)
	_ = l.client.Load().Close()
}

// Ready returns nil once the server has answered or was declared down, which takes less than half a
// second and three timeouts.
func (l *Limiter) Ready() error { return l.breaker.ready() }

// Outage is that of the server.
func (l *Limiter) Outage() *outage.Outage { return l.breaker.outage }

// Take admits the call and spends every budget, or refuses it and spends none. The error is nil or
// [ErrUnavailable]. It waits for the server no longer than [Options.Timeout] and does not end early
// with the context: half a decision would have to be guessed.
func (l *Limiter) Take(ctx context.Context, budgets ratelimit.Budgets) (ratelimit.Decision, error) {
	if !budgets.AreShared() {
		return l.local.Take(ctx, budgets)
	}
	if l.breaker.is(down) {
		return l.withoutServer(ctx, budgets)
	}
	reservation, decision := l.local.Reserve(&budgets)
	if !decision.Allowed {
		l.metrics.remembered.Inc()
		return decision, nil
	}
	var answer ratelimit.Answer
	defer func() { reservation.Settle(answer) }()
	var err error
	if answer, err = l.askInTime(ctx, &budgets); err != nil {
		answer.Allowed = l.options.Failure == FailLocal
		return l.unanswered()
	}
	return answer.Decision(&budgets), nil
}

// Peek returns what is known here of a decision, without asking the server: a refusal that it
// remembers. It spends nothing.
func (l *Limiter) Peek(budgets *ratelimit.Budgets) ratelimit.Decision { return l.local.Peek(budgets) }

// withoutServer decides while the server is known not to answer.
func (l *Limiter) withoutServer(ctx context.Context, budgets ratelimit.Budgets) (ratelimit.Decision, error) {
	if l.options.Failure == FailLocal {
		l.metrics.fallback.Inc()
		return l.local.Take(ctx, budgets)
	}
	return l.unanswered()
}

// unanswered is the outcome for a call that the local budgets admit.
func (l *Limiter) unanswered() (ratelimit.Decision, error) {
	if l.options.Failure == FailClosed {
		l.metrics.unavailable.Inc()
		return ratelimit.Decision{}, ErrUnavailable
	}
	l.metrics.fallback.Inc()
	return ratelimit.Decision{Allowed: true}, nil
}

// askInTime asks for a call that waits, and keeps account of how the server does. A Cluster's node
// that names another one costs a second round trip.
func (l *Limiter) askInTime(ctx context.Context, budgets *ratelimit.Budgets) (ratelimit.Answer, error) {
	began := l.clock()
	ctx = context.WithoutCancel(ctx)
	client := l.client.Load()
	answer, err := l.ask(ctx, client, budgets, l.options.Timeout)
	if err != nil && l.follow(client, err) {
		answer, err = l.ask(ctx, l.client.Load(), budgets, l.options.Timeout-(l.clock()-began))
	}
	waited := (l.clock() - began).Seconds()
	if err != nil {
		l.metrics.failed.Observe(waited)
		l.breaker.failed(began, err)
		return answer, err
	}
	l.metrics.answered.Observe(waited)
	l.breaker.answered()
	return answer, nil
}

// follow puts a client of the server that the last one has named in its place, once, and reports
// whether to ask again.
func (l *Limiter) follow(last *goredis.Client, err error) bool {
	if movedTo(err) == "" {
		return false
	}
	if l.client.Load() != last { // another call was faster
		return true
	}
	if !l.route.failed(err) {
		return false
	}
	client := l.route.client()
	if !l.client.CompareAndSwap(last, client) {
		_ = client.Close()
		return true
	}
	l.retire(last)
	return true
}

// retire closes a client that another has replaced, once no call waits for its answer any more.
func (l *Limiter) retire(client *goredis.Client) {
	time.AfterFunc(2*l.options.Timeout, func() { _ = client.Close() })
}

// ask makes one round trip.
func (l *Limiter) ask(
	ctx context.Context, client *goredis.Client, budgets *ratelimit.Budgets, timeout time.Duration,
) (ratelimit.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return l.decide(ctx, client, budgets)
}
