package redis

import (
	"context"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
)

// Check makes one decision on a connection of its own, for a budget that no call spends, and
// returns how long it took. If there is none within [Options.Timeout], the error says why, in words
// that hold nothing of what the server said. Check does not need [Limiter.Run].
func (l *Limiter) Check(ctx context.Context) (time.Duration, error) {
	client := goredis.NewClient(l.dial)
	took, err := l.check(ctx, client)
	_ = client.Close()
	return took, err
}

// probe is what the breaker calls. A server that was down gets a new client, because the
// connections of the old one may lead nowhere.
func (l *Limiter) probe(ctx context.Context) error {
	if !l.breaker.is(down) {
		_, err := l.check(ctx, l.client.Load())
		return err
	}
	client := goredis.NewClient(l.dial)
	_, err := l.check(ctx, client)
	if err == nil {
		client = l.client.Swap(client)
	}
	_ = client.Close()
	return err
}

// check asks twice: the first time may take as long as a new connection does, the second must be in
// time for a decision.
func (l *Limiter) check(ctx context.Context, client *goredis.Client) (time.Duration, error) {
	budgets := &ratelimit.Budgets{ratelimit.Global: {Key: ratelimit.Key{Kind: "probe"}, Rate: probeRate}}
	if _, err := l.ask(ctx, client, budgets, l.dial.DialTimeout); err != nil {
		return 0, err
	}
	began := l.clock()
	_, err := l.ask(ctx, client, budgets, l.options.Timeout)
	return l.clock() - began, err
}

// probeRate leaves a budget that is at rest again at once, so that the server forgets it.
var probeRate = ratelimit.MustRate("1000000/s:1")
