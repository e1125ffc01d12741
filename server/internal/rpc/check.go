package rpc

import (
	"context"
	"fmt"

	"google.golang.org/grpc"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/token"
)

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
	signed, violations := identifierPolicy(c).Apply(c.given)
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

// findOrganization looks up the organization that is asked for, or the default
// one. A caller learns nothing of organizations that are not its own.
func (s *Server) findOrganization(c *call, name string) *refusal {
	if name == "" {
		name = s.options.DefaultOrganization
	}
	if name != "" && !c.grant.MayUse(name) {
		return denied("the policy does not let this caller use this organization")
	}
	for i := range s.options.Organizations {
		if s.options.Organizations[i].Name == name {
			c.organization = &s.options.Organizations[i]
			return nil
		}
	}
	return invalidField(pb.ErrorReason_ERROR_REASON_UNKNOWN_ORGANIZATION, "organization",
		"must be empty or the name of an organization that the sidecar is configured with")
}

// identifierPolicy is the caller's own, or else the organization's.
func identifierPolicy(c *call) customer.IdentifierPolicy {
	if c.grant.Identifiers != nil {
		return *c.grant.Identifiers
	}
	return c.organization.Identifiers
}
