package main

import (
	"context"
	"log/slog"
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
	rates := x.config.LimitRates
	switch {
	case x.config.LimitMode == config.LimitShadow:
		x.warnf(checkLimits, "shadow: they are recorded and refuse nothing: give --limit-mode enforce once the records look right")
	case rates[ratelimit.Customer].IsOff():
		x.warnf(checkLimits, "nothing bounds the tokens for one customer: give --limit-customer, such as 10/m:10; a person needs few")
	case rates[ratelimit.Caller].IsOff() && rates[ratelimit.Global].IsOff():
		x.warnf(checkLimits, "nothing bounds a caller that asks for every customer: give --limit-caller, such as 200/s:400")
	default:
		x.okf(checkLimits, "%v", rates)
	}
}

// redisTimeout bounds the wait for the decision and its connection.
const redisTimeout = 10 * time.Second

// redis makes one decision as serve would.
func (x *examination) redis(ctx context.Context) {
	options, err := x.config.AuditOptions(nil)
	if err != nil || !x.config.IsShared() {
		return // an error was told with the keys
	}
	shared, err := x.config.Redis.Open(options.Keys, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		x.failf(checkRedis, "%v", err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	took, err := shared.Check(ctx)
	if err != nil {
		x.failf(checkRedis, "no decision (%v): check --limit-redis, its user and password, the way there and --limit-redis-timeout", err)
		return
	}
	x.okf(checkRedis, "a decision took %s", took.Round(10*time.Microsecond))
}
