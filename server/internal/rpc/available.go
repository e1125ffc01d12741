package rpc

import (
	"context"
	"errors"

	"google.golang.org/grpc"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/secret"
)

// requireAvailable rejects calls that cannot succeed, before they consume any
// quota.
func (s *Server) requireAvailable(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
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
