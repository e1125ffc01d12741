package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
	"github.com/chatidentity/chatidentity/server/internal/secret"
	"github.com/chatidentity/chatidentity/server/internal/token"
)

// audit opens the call and closes it: whatever comes of it is recorded, and a
// reply that holds a token leaves only once its record is written.
func (s *Server) audit(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	now := s.options.Now()
	c := &call{method: methods[info.FullMethod], began: now, auditID: s.options.NewAuditID(now), refusal: internal(errors.New("no answer"))}
	reply, err := handler(withCall(ctx, c), req)
	c.refusal = asRefusal(err)
	if err := s.options.Audit.Write(ctx, s.record(ctx, c)); err != nil && c.carriesToken() {
		c.refusal, c.givenUp = auditUnavailable(err), ctx.Err() != nil
	}
	s.metrics.count(c)
	if c.refusal == nil {
		return reply, nil
	}
	s.logCause(ctx, c)
	return nil, c.refusal.audited(c.auditID)
}

// logCause logs why a call failed. An outage is logged by the room that has it,
// once: a line a call would fill the log, so those are for debugging.
func (s *Server) logCause(ctx context.Context, c *call) {
	if c.refusal.cause == nil {
		return
	}
	level := slog.LevelDebug
	if c.refusal.code() == codes.Internal {
		level = slog.LevelError
	}
	s.options.Logger.LogAttrs(ctx, level, "call failed", slog.String("audit_id", c.auditID),
		slog.String("reason", c.refusal.reasonName()), slog.String("error", c.refusal.cause.Error()))
}

// asRefusal makes an INTERNAL of an error that no step of the chain meant for
// clients.
func asRefusal(err error) *refusal {
	var r *refusal
	switch {
	case err == nil:
		return nil
	case errors.As(err, &r):
		return r
	default:
		return internal(err)
	}
}

// recovered makes an INTERNAL of a panic. The log gets where it happened but
// not the panic's text, which may hold a value of the request.
func (s *Server) recovered(_ context.Context, p any) error {
	s.metrics.panics.Inc()
	return internal(fmt.Errorf("panic of type %T at %s", p, panicSite(string(debug.Stack()))))
}

// panicSite returns the functions of a stack from the panic outwards, without
// their arguments.
func panicSite(stack string) string {
	_, stack, _ = strings.Cut(stack, "\npanic(")
	var sites []string
	for line := range strings.Lines(stack) {
		if file, ok := strings.CutPrefix(line, "\t"); ok && len(sites) < 8 {
			file, _, _ = strings.Cut(strings.TrimSpace(file), " ")
			sites = append(sites, file)
		}
	}
	return strings.Join(sites, ", ")
}

// check parses the request, once. What is wrong with it is told after the call
// has been paid for, so that bad requests are limited too.
func (s *Server) check(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	c := callFrom(ctx)
	switch req := req.(type) {
	case *pb.IssueTokenRequest:
		c.invalid = s.checkIssue(ctx, c, req)
	case *pb.VerifyTokenRequest:
		c.invalid = s.checkVerify(c, req)
	default:
		return nil, internal(fmt.Errorf("no rules for a %T", req))
	}
	return handler(ctx, req)
}

func (s *Server) checkIssue(ctx context.Context, c *call, req *pb.IssueTokenRequest) *refusal {
	c.given = customer.Customer{ExternalID: req.GetCustomer().GetExternalId(), Email: req.GetCustomer().GetEmail()}
	if r := s.findOrganization(c, req.GetOrganization()); r != nil {
		return r
	}
	if violations := c.given.Check(); len(violations) > 0 {
		return invalidCustomer(violations)
	}
	signed, violations := s.identifierPolicy(c).Apply(c.given)
	if len(violations) > 0 {
		return invalidCustomer(violations)
	}
	if r := s.demandProof(ctx, c, signed); r != nil {
		return r
	}
	c.signed = signed
	return nil
}

func (s *Server) checkVerify(c *call, req *pb.VerifyTokenRequest) *refusal {
	if r := s.findOrganization(c, req.GetOrganization()); r != nil {
		return r
	}
	if size := len(req.GetToken()); size < 1 || size > token.MaxBytes {
		return invalidField(pb.ErrorReason_ERROR_REASON_INVALID_TOKEN_SIZE, "token", fmt.Sprintf("must be 1 to %d bytes", token.MaxBytes))
	}
	return nil
}

// beAvailable refuses a call that is known to fail, before it spends anything.
func (s *Server) beAvailable(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if err := s.options.Audit.Available(); err != nil {
		return nil, auditUnavailable(err)
	}
	if organization := callFrom(ctx).organization; organization != nil {
		if err := organization.Secrets.Ready(); err != nil {
			return nil, secretUnavailable(err)
		}
	}
	return handler(ctx, req)
}

func auditUnavailable(err error) *refusal {
	return unavailable(pb.ErrorReason_ERROR_REASON_AUDIT_UNAVAILABLE, "the audit record cannot be written, so no token leaves", err)
}

func secretUnavailable(err error) *refusal {
	if errors.Is(err, secret.ErrClockSkewed) {
		return unavailable(pb.ErrorReason_ERROR_REASON_CLOCK_SKEWED, "the sidecar's clock is too far from Kustomer's", err)
	}
	return unavailable(pb.ErrorReason_ERROR_REASON_SECRET_UNAVAILABLE, "the organization's signing secret is not there", err)
}

// limit spends what the method costs, all of it or nothing, and then tells
// what check found wrong. A bad request has no customer to be counted for.
func (s *Server) limit(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	c := callFrom(ctx)
	decision, err := s.options.Limiter.Take(ctx, s.budgets(c))
	switch {
	case err != nil && s.options.ShadowLimits:
		c.limit = "shadow:unavailable"
	case err != nil:
		return nil, unavailable(pb.ErrorReason_ERROR_REASON_LIMITER_UNAVAILABLE, "the shared rate limiter cannot be reached", err)
	case decision.Allowed:
	case s.options.ShadowLimits:
		c.limit = "shadow:" + decision.Limit.String()
	default:
		c.limit = decision.Limit.String()
		return nil, rateLimited(decision.Limit, decision.RetryAfter)
	}
	if c.invalid != nil {
		return nil, c.invalid
	}
	return handler(ctx, req)
}

// budgets returns what the call spends: a budget of each limit of its method.
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
				continue
			}
			budget.Key = customerKey(c)
		}
		budgets[limit] = budget
	}
	return budgets
}

// customerKey names the customer's budget. ASCII case of an email is folded,
// for the key alone: otherwise each spelling of an address had a budget.
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
