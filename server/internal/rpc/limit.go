package rpc

import (
	"context"
	"strings"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
)

// shadowPrefix stands in records before a limit that refused nothing.
const shadowPrefix = "shadow:"

// limit spends what the method costs, all of it or nothing, and then reports what check found
// wrong.
func (s *Server) limit(ctx context.Context, c *call, _ any) *refusal {
	refused := c.limited
	if refused == nil {
		refused = s.spend(ctx, c)
	}
	c.span.Event("limit", "chatidentity.limit", c.limit)
	if refused != nil {
		return refused
	}
	return c.invalid
}

func (s *Server) spend(ctx context.Context, c *call) *refusal {
	decision, err := s.options.Limiter.Take(ctx, s.budgets(c, c.method.limits))
	switch {
	case err != nil && s.options.ShadowLimits:
		c.limit = shadowPrefix + "unavailable"
	case err != nil:
		return unavailable(pb.ErrorReason_ERROR_REASON_LIMITER_UNAVAILABLE,
			"the shared rate limiter cannot be reached", err)
	case decision.Allowed:
	case s.options.ShadowLimits:
		c.limit = shadowPrefix + decision.Limit.String()
	default:
		c.limit = decision.Limit.String()
		return rateLimited(decision.Limit, decision.RetryAfter)
	}
	return nil
}

// knownLimit refuses a call whose caller is known to be over a limit. The customer's is not asked: who
// that is has yet to be proven.
func (s *Server) knownLimit(c *call) *refusal {
	if s.options.ShadowLimits {
		return nil
	}
	budgets := s.budgets(c, []ratelimit.Limit{ratelimit.Global, ratelimit.Caller})
	decision := s.options.Limiter.Peek(&budgets)
	if decision.Allowed {
		return nil
	}
	c.limit = decision.Limit.String()
	return rateLimited(decision.Limit, decision.RetryAfter)
}

// budgets returns what the call spends: a budget for each of the limits.
func (s *Server) budgets(c *call, limits []ratelimit.Limit) ratelimit.Budgets {
	var budgets ratelimit.Budgets
	for _, limit := range limits {
		budget := ratelimit.Budget{Rate: s.options.Limits[limit]}
		switch limit {
		case ratelimit.Global: // one budget for all
		case ratelimit.Caller:
			budget.Rate, budget.Key.Name, budget.Local = s.callerLimit(c), c.callerName, !c.caller.IsShared()
		case ratelimit.Customer:
			if c.invalid != nil {
				continue // an invalid request has no customer to count
			}
			budget.Key = customerKey(c)
		}
		budgets[limit] = budget
	}
	return budgets
}

// customerKey names the customer's budget. Only for the key, the ASCII case of an email is folded:
// otherwise each spelling of an address would have its own budget.
func customerKey(c *call) ratelimit.Key {
	identifier, name := c.signed.Login()
	if identifier == customer.Email {
		name = strings.Map(foldASCII, name)
	}
	return ratelimit.Key{Kind: identifier.String(), Scope: c.organization.Name, Name: name}
}

func foldASCII(r rune) rune {
	if 'A' <= r && r <= 'Z' {
		return r + ('a' - 'A')
	}
	return r
}

func (s *Server) callerLimit(c *call) ratelimit.Rate {
	if c.grant.Limit != nil {
		return *c.grant.Limit
	}
	return s.options.Limits[ratelimit.Caller]
}
