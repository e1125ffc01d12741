package doctor

import (
	"context"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/config"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
)

// limits warns of those that bound nothing.
func limits(_ context.Context, s *setup) []Finding {
	rates := s.LimitRates
	switch {
	case s.LimitMode == config.LimitShadow:
		return warningf("shadow: they refuse nothing: give --limit-mode enforce once the records look right")
	case rates[ratelimit.Customer].IsOff():
		return warningf("nothing bounds the tokens for one customer: give --limit-customer, such as 10/m:10")
	case rates[ratelimit.Caller].IsOff() && rates[ratelimit.Global].IsOff():
		return warningf("nothing bounds a caller that asks for every customer: give --limit-caller, such as 200/s:400")
	default:
		return okf("%v", rates)
	}
}

// redisTimeout bounds the wait for the decision and its connection.
const redisTimeout = 10 * time.Second

// decision makes one in Redis, as serve would.
func decision(ctx context.Context, s *setup) []Finding {
	if !s.IsShared() || s.keys.Err() != nil {
		return nil
	}
	password := s.OpenRedisPassword(nil)
	if password != nil && password.Err() != nil {
		return s.wrongFile(password.Problem())
	}
	shared, err := s.OpenRedis(s.keys, password, nil, discard)
	if err != nil {
		return refused(err)
	}
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	took, err := shared.Check(ctx)
	if err != nil {
		return failedf("no decision: %v: see --limit-redis, --limit-redis-ca and --limit-redis-timeout", err)
	}
	return okf("a decision took %s", took.Round(10*time.Microsecond))
}
