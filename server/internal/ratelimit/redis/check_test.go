package redis

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
)

// Check makes one decision, or says why there is none.
func TestCheck(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		prepare func(*server, *Options)
		want    string // of the error; empty: there is none
	}{
		"in time":      {func(*server, *Options) {}, ""},
		"no rights":    {func(s *server, _ *Options) { s.do("ACL", "SETUSER", "default", "-@all", "+acl|setuser", "+evalsha") }, "error NOPERM"},
		"too late":     {func(s *server, o *Options) { o.Timeout = 50 * time.Millisecond; s.signal(syscall.SIGSTOP) }, "no complete answer within 50ms"},
		"nobody there": {func(s *server, o *Options) { o.URL += ".gone" }, "no such file or directory"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t)
			log := &journal{}
			options := testOptions("unix://"+s.socket, log)
			c.prepare(s, &options)
			limiter, err := New(ratelimit.NewLocal(16, ratelimit.Monotonic()), options)
			if err != nil {
				t.Fatal(err)
			}
			took, err := limiter.Check(t.Context())
			if c.want == "" {
				if err != nil || took <= 0 || took > options.Timeout {
					t.Errorf("took %v, %v", took, err)
				}
			} else if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if limiter.Ready() == nil || log.String() != "" {
				t.Errorf("a check is no news for the limiter: ready %v, log %q", limiter.Ready(), log)
			}
		})
	}
}

// The probe that finds the server puts its own client in place of the first one. A call that asks
// meanwhile gets its answer all the same.
func TestTheFirstProbeCutsNoCallOff(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	options := testOptions("unix://"+s.socket, &journal{})
	options.Failure = FailClosed
	limiter, err := New(ratelimit.NewLocal(16, ratelimit.Monotonic()), options)
	if err != nil {
		t.Fatal(err)
	}
	asking, replaced := make(chan struct{}), make(chan struct{})
	run := limiter.decide
	limiter.decide = func(ctx context.Context, client *goredis.Client, budgets *ratelimit.Budgets) (ratelimit.Answer, error) {
		if budgets[ratelimit.Global].Key.Kind != "probe" {
			close(asking)
			<-replaced
		}
		return run(ctx, client, budgets)
	}
	taken := make(chan error, 1)
	go func() {
		rate := ratelimit.MustRate("1/h")
		_, err := limiter.Take(t.Context(), budgetsFor(1, rate, rate, rate))
		taken <- err
	}()
	<-asking
	if err := limiter.probe(t.Context()); err != nil {
		t.Error(err)
	}
	close(replaced)
	if err := <-taken; err != nil {
		t.Error(err)
	}
}
