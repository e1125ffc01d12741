package rpc

import (
	"context"
	"errors"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/secret"
)

// requireConfigured rejects every call while a file of the configuration has yet to be good: nobody
// can be told apart, so nobody is let in. Whom the flags alone keep out is denied as ever.
func (s *Server) requireConfigured(_ context.Context, c *call, _ any) *refusal {
	err := s.options.Configured()
	if err == nil {
		return nil
	}
	c.setCaller(c.arrival.connection.Caller)
	if refused := s.letIn(c.arrival.connection, c.method.action); refused != nil {
		return refused
	}
	return unavailable(pb.ErrorReason_ERROR_REASON_NOT_CONFIGURED,
		"a file of the sidecar's configuration is missing or wrong; its log and /readyz name the file", err)
}

// requireAvailable rejects calls that cannot succeed, before they consume any quota.
func (s *Server) requireAvailable(_ context.Context, c *call, _ any) *refusal {
	if err := s.options.Audit.Available(); err != nil {
		return auditUnavailable(err)
	}
	if !c.organization.isKnown() {
		return nil
	}
	if err := c.organization.Secrets.Ready(); err != nil {
		return secretUnavailable(err)
	}
	return nil
}

func auditUnavailable(err error) *refusal {
	return unavailable(pb.ErrorReason_ERROR_REASON_AUDIT_UNAVAILABLE,
		"the audit record cannot be written, so no token leaves", err)
}

func secretUnavailable(err error) *refusal {
	if errors.Is(err, secret.ErrClockSkewed) {
		return unavailable(pb.ErrorReason_ERROR_REASON_CLOCK_SKEWED,
			"the sidecar's clock is too far from Kustomer's", err)
	}
	return unavailable(pb.ErrorReason_ERROR_REASON_SECRET_UNAVAILABLE,
		"the organization's signing secret is not available", err)
}
