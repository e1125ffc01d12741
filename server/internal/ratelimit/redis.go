package ratelimit

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
)

// ErrUnavailable is the answer of [FailClosed] while Redis does not answer.
var ErrUnavailable = errors.New("rate limits cannot be counted: redis does not answer")

// Redis counts shared demands in a Redis server (5.0 or later; one primary, not
// the Redis Cluster protocol), so that all replicas spend one budget. It is safe
// for concurrent use.
//
// A decision first asks the local budgets, where a demand that is not shared is
// decided, and where every answer of the server is remembered: a budget known to
// be empty costs no round trip until it may pass again. Then it makes one round
// trip for all shared demands, on the server's clock (to the microsecond). What
// passes is spent in both places, so falling back never grants a fresh burst.
//
// By no route does this process alone admit more than burst + rate × t of any
// demand, shared or not: local budgets are reserved before the server is asked,
// then spent or given back. All replicas together keep to one budget while the
// server answers and keeps what it is told; one that comes back empty, or whose
// clock is set forward, has forgotten what was spent. A call whose answer came too
// late may have been spent there all the same.
//
// After three failures in a row, calls side by side counting once, the server is
// not asked any more, until a probe in the background finds that it answers in
// time.
type Redis struct {
	local   *Local
	options RedisOptions
	dial    *redis.Options
	store   store
	client  atomic.Pointer[redis.Client]
	breaker *breaker
	metrics *redisMetrics
}

// NewRedis checks the options and connects to nothing yet. [Redis.Run] must run
// for the time that decisions are made.
func NewRedis(local *Local, options RedisOptions) (*Redis, error) {
	if err := options.validate(); err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	dial, err := options.client()
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	// The library would print on standard error what the breaker logs once.
	logging.Disable()
	r := &Redis{local: local, options: options, dial: dial, store: newStore(options.Prefix, options.KeySecret), metrics: newRedisMetrics()}
	r.breaker = newBreaker(r.probe, local.clock, &options)
	r.client.Store(redis.NewClient(dial))
	return r, nil
}

// Run finds out whether the server answers, at the start and after each failure,
// until the context ends; then it closes the connections.
func (r *Redis) Run(ctx context.Context) {
	r.breaker.run(ctx)
	_ = r.client.Load().Close()
}

// Ready is nil once the server has answered or was declared down, which takes
// less than half a second and three timeouts.
func (r *Redis) Ready() error { return r.breaker.ready() }

// Take admits the call and spends every demand, or refuses it and spends none.
// The error is nil or [ErrUnavailable]. It waits for the server no longer than
// [RedisOptions.Timeout], and does not end early with the context: half a
// decision would have to be guessed.
func (r *Redis) Take(ctx context.Context, budgets Budgets) (Decision, error) {
	if !budgets.AreShared() {
		return r.local.Take(ctx, budgets)
	}
	if r.breaker.is(down) {
		return r.withoutServer(ctx, budgets)
	}
	reservation, decision := r.local.Reserve(&budgets)
	if !decision.Allowed {
		r.metrics.remembered.Inc()
		return decision, nil
	}
	var answer Answer
	defer func() { reservation.Settle(answer) }()
	var err error
	if answer, err = r.ask(ctx, &budgets); err != nil {
		answer.Allowed = r.options.Failure == FailLocal
		return r.unanswered()
	}
	return answer.Decision(&budgets), nil
}

// withoutServer decides while the server is known not to answer.
func (r *Redis) withoutServer(ctx context.Context, budgets Budgets) (Decision, error) {
	if r.options.Failure == FailLocal {
		r.metrics.fallback.Inc()
		return r.local.Take(ctx, budgets)
	}
	return r.unanswered()
}

// unanswered is the outcome for a call that the local budgets admit.
func (r *Redis) unanswered() (Decision, error) {
	if r.options.Failure == FailClosed {
		r.metrics.unavailable.Inc()
		return Decision{}, ErrUnavailable
	}
	r.metrics.fallback.Inc()
	return Decision{Allowed: true}, nil
}

func (r *Redis) ask(ctx context.Context, budgets *Budgets) (Answer, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.options.Timeout)
	defer cancel()
	start := r.local.clock()
	reply, err := r.store.ask(ctx, r.client.Load(), budgets)
	waited := (r.local.clock() - start).Seconds()
	if err != nil {
		r.metrics.failed.Observe(waited)
		r.breaker.failed(start, err)
		return reply, err
	}
	r.metrics.answered.Observe(waited)
	r.breaker.answered()
	return reply, nil
}

// probe asks twice: the first time may take as long as a new connection does, the
// second must be in time for a decision. A server that was down gets a new client,
// because the old one's connections may lead nowhere.
func (r *Redis) probe(ctx context.Context) error {
	client := r.client.Load()
	wasDown := r.breaker.is(down)
	if wasDown {
		client = redis.NewClient(r.dial)
	}
	err := r.try(ctx, client, r.dial.DialTimeout)
	if err == nil {
		err = r.try(ctx, client, r.options.Timeout)
	}
	if !wasDown {
		return err
	}
	if err == nil {
		client = r.client.Swap(client)
	}
	_ = client.Close() // connections that are given up have nothing to tell
	return err
}

// try asks as a decision does, for a budget that nobody spends.
func (r *Redis) try(ctx context.Context, client *redis.Client, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	_, err := r.store.ask(ctx, client, &Budgets{
		Global: {Key: Key{Kind: "probe"}, Rate: Rate{interval: time.Microsecond, count: maxCount, burst: 1, unit: 's'}},
	})
	return err
}

// outage says why the server did not answer, in words of our own: what a server
// says may repeat the password. Of an error that it sent, the code alone.
func outage(err error) string {
	var (
		reply       redis.Error
		password    *passwordError
		dns         *net.DNSError
		certificate *tls.CertificateVerificationError
		alert       tls.AlertError
		errno       syscall.Errno
	)
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "timeout"
	case errors.As(err, &password):
		return password.Error()
	case errors.As(err, &reply):
		return "error " + errorCode(reply)
	case errors.As(err, &dns):
		return "the host name cannot be resolved"
	case errors.As(err, &certificate):
		return "its TLS certificate is not trusted: " + strconv.QuoteToASCII(certificate.Err.Error())
	case errors.As(err, &alert):
		return "the TLS handshake failed: " + alert.Error()
	case errors.As(err, &errno):
		return errno.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return "the connection was closed"
	default:
		return errNotRedis.Error()
	}
}

// errorCode is the first word of an error reply, if it is one of a server's codes.
func errorCode(reply redis.Error) string {
	code, _, _ := strings.Cut(reply.Error(), " ")
	if code == "" || len(code) > maxCode || strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return "without a code"
	}
	return code
}

// maxCode is longer than any of a server's error codes.
const maxCode = 16
