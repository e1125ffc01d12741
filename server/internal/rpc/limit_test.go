package rpc_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
	"github.com/chatidentity/chatidentity/server/internal/rpc"
)

// Of 30 concurrent calls for one customer exactly 10 pass. After the delay that the others are
// told, and not a nanosecond earlier, the next one passes.
func TestCustomerLimitIsExact(t *testing.T) {
	t.Parallel()
	f := serve(t, nil)
	var passed atomic.Int32
	refusals := make(chan error, 30)
	var calls errgroup.Group
	for range 30 {
		calls.Go(func() error {
			_, err := f.IssueToken(t.Context(), issueFor("", "Ada@Example.com"))
			if err == nil {
				passed.Add(1)
			} else {
				refusals <- err
			}
			return nil
		})
	}
	_ = calls.Wait()
	close(refusals)
	if passed.Load() != 10 || len(refusals) != 20 {
		t.Fatalf("%d passed and %d were refused, want 10 and 20", passed.Load(), len(refusals))
	}
	for err := range refusals {
		refused := detailsOf(t, err)
		if status.Code(err) != codes.ResourceExhausted || refused.reason != "RATE_LIMITED" || refused.quota != "customer" || refused.retryAfter != 6*time.Second {
			t.Fatalf("refusal %+v", refused)
		}
	}
	f.clock.advance(6*time.Second - 1)
	// Another spelling of the same address is the same customer.
	if _, err := f.IssueToken(t.Context(), issueFor("", "ada@EXAMPLE.com")); detailsOf(t, err).retryAfter != 1 {
		t.Errorf("a nanosecond early: %v", err)
	}
	f.clock.advance(1)
	if _, err := f.IssueToken(t.Context(), issueFor("", "ada@example.com")); err != nil {
		t.Errorf("after the delay: %v", err)
	}
	if _, err := f.IssueToken(t.Context(), issueFor("ada@example.com", "")); err != nil {
		t.Errorf("an external ID of the same text is another customer: %v", err)
	}
}

func TestBadRequestsAndVerificationsSpendCallerAndGlobal(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]func(*fixture) error{
		"bad customer": func(f *fixture) error {
			_, err := f.IssueToken(t.Context(), issueFor("", ""))
			return err
		},
		"verify": func(f *fixture) error {
			_, err := f.VerifyToken(t.Context(), &pb.VerifyTokenRequest{Token: "x"})
			return err
		},
	} {
		for limit, limits := range map[string]ratelimit.Rates{
			"caller": {ratelimit.Caller: rate(t, "1/h:3")},
			"global": {ratelimit.Global: rate(t, "1/h:3")},
		} {
			t.Run(name+", "+limit, func(t *testing.T) {
				t.Parallel()
				f := serve(t, func(o *setup) { o.Limits = limits })
				for range 3 {
					if status.Code(call(f)) == codes.ResourceExhausted {
						t.Fatal("refused before the burst was spent")
					}
				}
				if refused := detailsOf(t, call(f)); refused.reason != "RATE_LIMITED" || refused.quota != limit {
					t.Errorf("the fourth call: %+v", refused)
				}
			})
		}
	}
}

func TestShadowLimitsRecordAndRefuseNothing(t *testing.T) {
	t.Parallel()
	f := serve(t, func(o *setup) { o.ShadowLimits = true })
	var last *pb.IssueTokenResponse
	for range 11 {
		reply, err := f.IssueToken(t.Context(), issueFor("user_id", ""))
		if err != nil {
			t.Fatal(err)
		}
		last = reply
	}
	if limit := f.record(t, last.GetAuditId())["limit"]; limit != "shadow:customer" {
		t.Errorf("the eleventh call's record has the limit %v", limit)
	}
}

func TestShadowLimitsRefuseNothingEvenWhenTheyCannotDecide(t *testing.T) {
	t.Parallel()
	f := serve(t, func(o *setup) {
		o.ShadowLimits = true
		o.Limiter = noLimiter{errPermission}
	})
	reply, err := f.IssueToken(t.Context(), issueFor("user_id", ""))
	if err != nil {
		t.Fatal(err)
	}
	if limit := f.record(t, reply.GetAuditId())["limit"]; limit != "shadow:unavailable" {
		t.Errorf("the record has the limit %v", limit)
	}
}

// asked remembers what the limiter was asked for.
type asked struct {
	rpc.Limiter
	mu      sync.Mutex
	budgets ratelimit.Budgets
}

func (a *asked) Take(ctx context.Context, budgets ratelimit.Budgets) (ratelimit.Decision, error) {
	a.mu.Lock()
	a.budgets = budgets
	a.mu.Unlock()
	return a.Limiter.Take(ctx, budgets)
}

// Callers whose name means the same at every replica share one budget, and the policy may give a
// caller its own limit.
func TestLimitsOfACaller(t *testing.T) {
	t.Parallel()
	limiter := &asked{}
	own := rate(t, "1/h")
	f := serve(t, func(o *setup) {
		limiter.Limiter, o.Limiter = o.Limiter, limiter
		o.Callers.Tokens = knownTokens(t)
		o.Policy = allOf("token:checkout", "token:another")
		o.Policy().Callers["token:checkout"].Limit = &own
	})
	issue := func(token string) error {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
		_, err := f.IssueToken(ctx, issueFor("user_id", ""))
		return err
	}
	if err := issue(goodToken); err != nil {
		t.Fatal(err)
	}
	budget := limiter.budgets[ratelimit.Caller]
	if budget.Local || budget.Key.Name != "token:checkout" || budget.Rate != own {
		t.Errorf("budget %+v", budget)
	}
	if refused := detailsOf(t, issue(goodToken)); refused.reason != "RATE_LIMITED" || refused.quota != "caller" {
		t.Errorf("the second in an hour: %+v", refused)
	}
	if err := issue(otherToken); err != nil {
		t.Errorf("another caller: %v", err)
	}
}
