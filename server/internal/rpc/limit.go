package rpc

import (
	"context"
	"strings"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
)

// limit spends what the method costs, all of it or nothing, and then reports what check found
// wrong.
func (s *Server) limit(ctx context.Context, c *call, _ any) *refusal {
	decision, err := s.options.Limiter.Take(ctx, s.budgets(c))
	switch {
	case err != nil && s.options.ShadowLimits:
		c.limit = "shadow:unavailable"
	case err != nil:
		return unavailable(pb.ErrorReason_ERROR_REASON_LIMITER_UNAVAILABLE,
			"the shared rate limiter cannot be reached", err)
	case decision.Allowed:
	case s.options.ShadowLimits:
		c.limit = "shadow:" + decision.Limit.String()
	default:
		c.limit = decision.Limit.String()
		return rateLimited(decision.Limit, decision.RetryAfter)
	}
	return c.invalid
}

// budgets returns what the call spends: a budget for each limit of its method.
func (s *Server) budgets(c *call) ratelimit.Budgets {
	var budgets ratelimit.Budgets
	for _, limit := range c.method.limits {
		budget := ratelimit.Budget{Rate: s.options.Limits[limit]}
		switch limit {
		case ratelimit.Global: // one budget for all
		case ratelimit.Caller:
			budget.Rate, budget.Key.Name, budget.Local = s.callerLimit(c), c.caller.String(), !c.caller.IsShared()
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
