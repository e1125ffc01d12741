package redis

import (
	"context"
	"errors"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
)

// Check makes one decision on connections of its own, for a budget that no call spends, and returns
// how long it took. If there is none within [Options.Timeout], the error says why and what to do, in
// words that hold nothing of what the server said. Check does not need [Limiter.Run].
func (l *Limiter) Check(ctx context.Context) (time.Duration, error) {
	client, took, err := l.connect(ctx, newRoute(l.dialer))
	if err != nil {
		return 0, l.explain(err)
	}
	_ = client.Close()
	return took, nil
}

// explain says what is wrong in words of our own.
func (l *Limiter) explain(err error) error {
	said := cause(err, l.options.Timeout)
	if l.breaker.changes[up].Load() == 0 {
		if more := hint(err, l.dialer.place.isTLS); more != "" {
			return errors.New(said.Error() + more)
		}
	}
	return said
}

// probe is what the breaker calls. A server that was down gets a new client, because the
// connections of the old one may lead nowhere.
func (l *Limiter) probe(ctx context.Context) error {
	if l.breaker.is(up) {
		_, err := l.check(ctx, l.client.Load())
		return err
	}
	client, _, err := l.connect(ctx, l.route)
	if err != nil {
		return err
	}
	l.retire(l.client.Swap(client))
	return nil
}

// connect returns a client of the server that decides, wherever the route leads to, and how long a
// decision takes there.
func (l *Limiter) connect(ctx context.Context, route route) (*goredis.Client, time.Duration, error) {
	var said error
	for range route.attempts() {
		client := route.client()
		took, err := l.check(ctx, client)
		if err == nil {
			return client, took, nil
		}
		_ = client.Close()
		if !route.failed(err) && (said == nil || isAnswer(err)) { // an answer tells more than that one is away
			said = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, 0, said
}

// check asks twice: the first time may take as long as a new connection does, the second must be in
// time for a decision.
func (l *Limiter) check(ctx context.Context, client *goredis.Client) (time.Duration, error) {
	budgets := &ratelimit.Budgets{ratelimit.Global: {Key: ratelimit.Key{Kind: "probe"}, Rate: probeRate}}
	if _, err := l.ask(ctx, client, budgets, max(l.options.Timeout, connectTimeout)+l.options.Timeout); err != nil {
		return 0, err
	}
	began := l.clock()
	_, err := l.ask(ctx, client, budgets, l.options.Timeout)
	return l.clock() - began, err
}

// probeRate leaves a budget that is at rest again at once, so that the server forgets it.
var probeRate = ratelimit.MustRate("1000000/s:1")
