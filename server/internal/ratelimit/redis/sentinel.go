package redis

import (
	"context"
	"errors"
	"net"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// sentinels lead to the primary that they name when a connection is made.
type sentinels struct {
	dialer *dialer
	asking chan struct{} // holds one while somebody asks

	// Only who asks uses these.
	named string
	at    time.Duration
}

// namedFor is how long the connections that are made side by side share one answer.
const namedFor = 100 * time.Millisecond

func newSentinels(d *dialer) *sentinels {
	return &sentinels{dialer: d, asking: make(chan struct{}, 1)}
}

func (s *sentinels) client() *goredis.Client { return s.dialer.client(s.primary) }
func (*sentinels) attempts() int             { return 1 }
func (*sentinels) failed(error) bool         { return false }

func (s *sentinels) primary(ctx context.Context) (string, error) {
	select {
	case s.asking <- struct{}{}:
		defer func() { <-s.asking }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if now := s.dialer.clock(); s.named != "" && now-s.at < namedFor {
		return s.named, nil
	}
	named, err := s.askAll(ctx)
	if err != nil {
		return "", &sentinelError{err}
	}
	s.named, s.at = named, s.dialer.clock()
	return named, nil
}

// askAll asks all Sentinels at once, so that none that is dead holds up the others. The first to
// name the primary is believed.
func (s *sentinels) askAll(ctx context.Context) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		address string
		err     error
	}
	addresses := s.dialer.place.addresses
	answers := make(chan answer, len(addresses))
	for _, address := range addresses {
		go func() {
			named, err := s.ask(ctx, address)
			answers <- answer{named, err}
		}()
	}
	var said error
	for range addresses {
		a := <-answers
		if a.err == nil {
			return a.address, nil
		}
		if said == nil || isAnswer(a.err) { // what one says tells more than that another is away
			said = a.err
		}
	}
	return "", said
}

// ask asks one. It learns the password only if it wants one: those without refuse it.
func (s *sentinels) ask(ctx context.Context, address string) (string, error) {
	named, err := s.askAs(ctx, address, nil)
	if code := codeOf(err); code == "NOAUTH" || code == codeNoPermission {
		if credentials := s.dialer.options.credentials(s.dialer.place.user); credentials != nil {
			return s.askAs(ctx, address, credentials)
		}
	}
	return named, err
}

func (s *sentinels) askAs(
	ctx context.Context, address string, credentials func(context.Context) (string, string, error),
) (string, error) {
	options := s.dialer.options.clientOptions()
	options.PoolSize = 1
	options.ReadTimeout, options.WriteTimeout = options.DialTimeout, options.DialTimeout
	options.CredentialsProviderContext = credentials
	options.Dialer = func(ctx context.Context, _, _ string) (net.Conn, error) { return s.dialer.dial(ctx, address) }
	client := goredis.NewClient(options)
	defer client.Close() //nolint:errcheck // it was for one question
	named, err := client.Do(ctx, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", s.dialer.place.master).StringSlice()
	switch {
	case errors.Is(err, goredis.Nil):
		return "", errUnknownPrimary
	case err != nil:
		return "", err
	case len(named) != 2:
		return "", errNotRedis
	}
	return net.JoinHostPort(named[0], named[1]), nil
}

var errUnknownPrimary = errors.New("the Sentinel knows no primary of that name")

// sentinelError says that it was a Sentinel that failed, not Redis.
type sentinelError struct{ cause error }

func (e *sentinelError) Error() string { return "no Sentinel names the primary: " + e.cause.Error() }
func (e *sentinelError) Unwrap() error { return e.cause }
