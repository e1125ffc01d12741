package redis

import (
	"strings"
	"syscall"
	"testing"
	"time"

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
