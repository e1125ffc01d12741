package rpc

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/metadata"

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
	return prove(ctx, c.grant.Proof, signed)
}

// prove verifies the ID token. It must prove every identifier that is to be signed, to the letter:
// another spelling may be another person.
func prove(ctx context.Context, proof policy.Proof, signed customer.Customer) *refusal {
	tokens := metadata.ValueFromIncomingContext(ctx, userTokenHeader)
	if len(tokens) != 1 {
		return unproven(fmt.Sprintf("send the user's ID token in %s, once", userTokenHeader))
	}
	proven, err := proof.Verify(ctx, tokens[0])
	if err != nil {
		return proofRefused(err)
	}
	for _, identifier := range []struct{ field, signed, proven string }{
		{customer.FieldExternalID, signed.ExternalID, proven.ExternalID},
		{customer.FieldEmail, signed.Email, proven.Email},
	} {
		switch {
		case identifier.signed == "":
		case identifier.proven == "":
			return unproven("the user's ID token does not prove " + identifier.field)
		case identifier.signed != identifier.proven:
			return &refusal{
				reason:  pb.ErrorReason_ERROR_REASON_USER_MISMATCH,
				message: "the user's ID token belongs to somebody else: it has another " + identifier.field,
			}
		}
	}
	return nil
}

func unproven(message string) *refusal {
	return &refusal{reason: pb.ErrorReason_ERROR_REASON_USER_UNPROVEN, message: message}
}

// proofRefused tells the client what is wrong with the token. The texts of idtoken.ErrUnproven
// repeat no value of it.
func proofRefused(err error) *refusal {
	switch {
	case errors.Is(err, idtoken.ErrUnproven):
		return unproven(err.Error())
	case errors.Is(err, idtoken.ErrUnavailable):
		return unavailable(pb.ErrorReason_ERROR_REASON_PROOF_UNAVAILABLE,
			"the keys that verify the user's ID token are not available", err)
	default:
		return internal(err)
	}
}
