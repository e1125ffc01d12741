package rpc

import (
	"context"
	"errors"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/secret"
)

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
