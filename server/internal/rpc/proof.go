package rpc

import (
	"context"
	"errors"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/idtoken"
	"github.com/chatidentity/chatidentity/server/internal/policy"
)

// userTokenHeader carries the user's own OpenID Connect ID token.
const userTokenHeader = "x-user-id-token" //nolint:gosec // the name of a header

// requireProof checks that the user's own ID token, if the grant requires one, belongs to the
// customer. A caller that is known to be over its limit is refused first: verifying is dear.
func (s *Server) requireProof(ctx context.Context, c *call, signed customer.Customer) *refusal {
	if c.grant.Proof == nil {
		return nil
	}
	if c.limited = s.knownLimit(c); c.limited != nil {
		return c.limited
	}
	return prove(ctx, c.grant.Proof, c.arrival.headers[userTokenHeader], signed)
}

// prove verifies the ID token. It must prove every identifier that is to be signed.
func prove(ctx context.Context, proof policy.Proof, tokens []string, signed customer.Customer) *refusal {
	if len(tokens) != 1 {
		return &refusal{
			reason:  pb.ErrorReason_ERROR_REASON_USER_UNPROVEN,
			message: "send the user's ID token in " + userTokenHeader + ", once",
		}
	}
	// The texts of ErrUnproven and ErrMismatch name claims and repeat no value.
	err := proof.Prove(ctx, tokens[0], signed)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, idtoken.ErrUnproven):
		return &refusal{reason: pb.ErrorReason_ERROR_REASON_USER_UNPROVEN, message: err.Error()}
	case errors.Is(err, idtoken.ErrMismatch):
		return &refusal{reason: pb.ErrorReason_ERROR_REASON_USER_MISMATCH, message: err.Error()}
	case errors.Is(err, idtoken.ErrUnavailable):
		return unavailable(pb.ErrorReason_ERROR_REASON_PROOF_UNAVAILABLE,
			"the keys that verify the user's ID token are not available", err)
	default:
		return internal(err)
	}
}
