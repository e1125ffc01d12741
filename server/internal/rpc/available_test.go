package rpc_test

import (
	"context"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
	"github.com/chatidentity/chatidentity/server/internal/rpc"
)

// spy counts what reaches the limits.
type spy struct {
	rpc.Limiter
	taken atomic.Int32
}

func (s *spy) Take(ctx context.Context, budgets ratelimit.Budgets) (ratelimit.Decision, error) {
	s.taken.Add(1)
	return s.Limiter.Take(ctx, budgets)
}

func TestAKnownOutageIsRefusedBeforeItSpends(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*setup){
		"configuration": func(o *setup) { o.Configured = func() error { return errPermission } },
		"audit":         func(o *setup) { o.Audit = unwell{o.Audit, nil, errPermission} },
		"secret":        func(o *setup) { o.Organizations[0].Secrets = noSecrets{errPermission} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limits := &spy{}
			f := serve(t, func(o *setup) {
				change(o)
				limits.Limiter, o.Limiter = o.Limiter, limits
			})
			if _, err := f.IssueToken(t.Context(), issueFor("user_id", "")); status.Code(err) != codes.Unavailable {
				t.Errorf("error %v", err)
			}
			if limits.taken.Load() != 0 {
				t.Error("a call that could not succeed was spent")
			}
		})
	}
}
