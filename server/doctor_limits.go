package main

import (
	"context"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/config"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
)

// The checks of how much is issued.
const (
	checkLimits = "limits"
	checkRedis  = "Redis"
)

// limits warns of those that bound nothing.
func (x *examination) limits(context.Context) {
	limits := &x.config.Limits
	switch {
	case limits.LimitMode == config.LimitShadow:
		x.warnf(checkLimits, "shadow: they are recorded and refuse nothing: give --limit-mode enforce once the records look right")
	case limits.LimitCustomer.IsOff():
		x.warnf(checkLimits, "nothing bounds the tokens for one customer: give --limit-customer, such as 10/m:10; a person needs few")
	case limits.LimitCaller.IsOff() && limits.LimitGlobal.IsOff():
		x.warnf(checkLimits, "nothing bounds a caller that asks for every customer: give --limit-caller, such as 200/s:400")
	default:
		x.okf(checkLimits, "customer %v, caller %v, global %v", limits.LimitCustomer, limits.LimitCaller, limits.LimitGlobal)
	}
}

const (
	// redisTimeout bounds the wait for the first answer.
	redisTimeout = 10 * time.Second
	redisPoll    = 10 * time.Millisecond
)

// redis makes one decision as serve would, for a budget that nobody else
// spends and that expires at once.
func (x *examination) redis(ctx context.Context) {
	options, err := x.config.AuditOptions(nil)
	if err != nil || !x.config.IsShared() {
		return // an error was told with the keys
	}
	settings := x.config.Redis
	settings.LimitRedisFailure = ratelimit.FailClosed // or it would decide by itself, and not say so
	var cause atomic.Value
	shared, err := settings.Open(options.Keys, causeLogger(&cause))
	if err != nil {
		x.failf(checkRedis, "%v", err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		shared.Run(ctx)
	}()
	defer func() {
		cancel()
		<-stopped
	}()
	for shared.Ready() != nil && ctx.Err() == nil {
		time.Sleep(redisPoll)
	}
	budget := ratelimit.Budget{Key: ratelimit.Key{Kind: "doctor"}}
	if budget.Rate, err = ratelimit.ParseRate("1000/s"); err != nil {
		x.failf(checkRedis, "%v", err)
		return
	}
	began := time.Now()
	if _, err := shared.Take(ctx, ratelimit.Budgets{ratelimit.Global: budget}); err != nil {
		x.failf(checkRedis, "no decision within --limit-redis-timeout %s (%v): check --limit-redis, its user and password, and the way there",
			x.config.LimitRedisTimeout, cause.Load())
		return
	}
	x.okf(checkRedis, "a decision took %s", time.Since(began).Round(10*time.Microsecond))
}

// causeLogger keeps why the server is taken to be down.
func causeLogger(cause *atomic.Value) *slog.Logger {
	keep := func(_ []string, attr slog.Attr) slog.Attr {
		if attr.Key == "cause" {
			cause.Store(attr.Value.String())
		}
		return attr
	}
	return slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{ReplaceAttr: keep})) //nolint:sloglint // DiscardHandler would not show it to keep
}
