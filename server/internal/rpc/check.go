package rpc

import (
	"context"
	"fmt"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/policy"
	"github.com/chatidentity/chatidentity/server/internal/token"
)

// check parses the request, once. What is wrong with it is reported only after the call has been
// paid for, so that invalid requests are limited too.
func (s *Server) check(ctx context.Context, c *call, req any) *refusal {
	if c.arrival.isTooLarge() {
		c.invalid = metadataTooLarge()
	} else {
		c.invalid = c.method.check(s, ctx, c, req)
	}
	return nil
}

func (s *Server) checkIssue(ctx context.Context, c *call, req *pb.IssueTokenRequest) *refusal {
	c.given = customer.Customer{ExternalID: req.GetCustomer().GetExternalId(), Email: req.GetCustomer().GetEmail()}
	if refused := s.findOrganization(c, req.GetOrganization()); refused != nil {
		return refused
	}
	if violations := c.given.Check(); len(violations) > 0 {
		return invalidCustomer(violations)
	}
	signed, violations := identifierPolicy(c).Apply(c.given)
	if len(violations) > 0 {
		return invalidCustomer(violations)
	}
	if refused := s.requireProof(ctx, c, signed); refused != nil {
		return refused
	}
	c.signed = signed
	return nil
}

func (s *Server) checkVerify(_ context.Context, c *call, req *pb.VerifyTokenRequest) *refusal {
	if refused := s.findOrganization(c, req.GetOrganization()); refused != nil {
		return refused
	}
	if size := len(req.GetToken()); size < 1 || size > token.MaxBytes {
		return invalidField(pb.ErrorReason_ERROR_REASON_INVALID_TOKEN_SIZE, "token",
			fmt.Sprintf("must be 1 to %d bytes", token.MaxBytes))
	}
	return nil
}

// findOrganization looks up the named organization, or the default one. A caller learns nothing
// about organizations that it may not use.
func (s *Server) findOrganization(c *call, name string) *refusal {
	isDefault := name == ""
	if isDefault {
		name = s.options.DefaultOrganization
	}
	c.organization = s.organization(c.policy, name)
	if isKnown := c.organization.isKnown(); !c.grant.MayUse(name) && (isKnown || !isDefault) {
		c.organization = Organization{}
		return denied("the policy does not let this caller use this organization")
	} else if !isKnown {
		return invalidField(pb.ErrorReason_ERROR_REASON_UNKNOWN_ORGANIZATION, "organization",
			"must be empty or the name of an organization that the sidecar is configured with")
	}
	return nil
}

// organization returns the one of that name, or none.
func (s *Server) organization(p *policy.Policy, name string) Organization {
	if fixed, found := s.organizations[name]; found {
		return fixed
	}
	if p == nil {
		return Organization{}
	}
	entry, found := p.Organizations[name]
	if !found || entry.Secrets == nil {
		return Organization{}
	}
	organization := Organization{Name: name, Secrets: entry.Secrets, Identifiers: s.options.Identifiers}
	if entry.Identifiers != nil {
		organization.Identifiers = *entry.Identifiers
	}
	return organization
}

// identifierPolicy returns that of the caller's grant, or else the organization's.
func identifierPolicy(c *call) customer.IdentifierPolicy {
	if c.grant.Identifiers != nil {
		return *c.grant.Identifiers
	}
	return c.organization.Identifiers
}
