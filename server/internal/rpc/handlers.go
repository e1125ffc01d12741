package rpc

import (
	"context"
	"errors"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/secret"
	"github.com/chatidentity/chatidentity/server/internal/token"
)

// handlers answer calls that have passed the chain: secret, then token. An RPC without a handler
// does not compile.
type handlers struct {
	pb.UnsafeChatIdentityServiceServer

	server *Server
}

// IssueToken signs with one snapshot of the secret.
func (h handlers) IssueToken(ctx context.Context, _ *pb.IssueTokenRequest) (*pb.IssueTokenResponse, error) {
	c := callFrom(ctx)
	secrets, err := c.organization.Secrets.Snapshot()
	if err != nil {
		return nil, secretUnavailable(err)
	}
	issued := h.server.options.Now().Truncate(time.Second)
	signed, err := token.Sign(secrets.Current.Value, c.signed, issued)
	if err != nil {
		return nil, err
	}
	c.issued, c.secretID, c.tokenDigest = issued, secrets.Current.ID, token.Digest(signed.Reveal())
	login, _ := c.signed.Login()
	return &pb.IssueTokenResponse{
		Token:           signed.Reveal(),
		IssueTime:       timestamppb.New(issued),
		ExpireTime:      timestamppb.New(issued.Add(token.Lifetime)),
		LoginIdentifier: identifiers[login],
		AuditId:         c.auditID,
	}, nil
}

// VerifyToken returns what Kustomer would say now.
func (h handlers) VerifyToken(ctx context.Context, req *pb.VerifyTokenRequest) (*pb.VerifyTokenResponse, error) {
	c := callFrom(ctx)
	reply, err := h.verify(c, req.GetToken())
	if err != nil {
		return nil, err
	}
	c.verdict = verdictName(reply.GetVerdict())
	return reply, nil
}

// verdictName returns a verdict as audit records hold it.
func verdictName(verdict pb.Verdict) string {
	return strings.TrimPrefix(verdict.String(), "VERDICT_")
}

func (h handlers) verify(c *call, text string) (*pb.VerifyTokenResponse, error) {
	parsed, err := token.Parse(text)
	if errors.Is(err, token.ErrMalformed) {
		return &pb.VerifyTokenResponse{Verdict: pb.Verdict_VERDICT_MALFORMED}, nil
	}
	secrets, err := c.organization.Secrets.Snapshot()
	if err != nil {
		return nil, secretUnavailable(err)
	}
	var verdict pb.Verdict
	var signer secret.Secret
	switch {
	case parsed.SignedWith(secrets.Current.Value):
		verdict, signer = h.timeVerdict(parsed.IssueTime()), secrets.Current
	case secrets.HasPrevious && parsed.SignedWith(secrets.Previous.Value):
		verdict, signer = pb.Verdict_VERDICT_PREVIOUS_SECRET, secrets.Previous
	default:
		return &pb.VerifyTokenResponse{Verdict: pb.Verdict_VERDICT_BAD_SIGNATURE}, nil
	}
	c.given, c.signed = parsed.Customer(), parsed.Customer()
	c.issued, c.secretID, c.tokenDigest = parsed.IssueTime(), signer.ID, token.Digest(text)
	login, _ := c.signed.Login()
	return &pb.VerifyTokenResponse{
		Verdict:         verdict,
		Customer:        &pb.Customer{ExternalId: c.given.ExternalID, Email: c.given.Email},
		LoginIdentifier: identifiers[login],
		IssueTime:       timestamppb.New(parsed.IssueTime()),
		ExpireTime:      timestamppb.New(parsed.ExpireTime()),
	}, nil
}

func (h handlers) timeVerdict(issued time.Time) pb.Verdict {
	now := h.server.options.Now()
	switch {
	case now.Sub(issued) >= token.Lifetime:
		return pb.Verdict_VERDICT_EXPIRED
	case issued.Sub(now) > h.server.options.MaxClockSkew:
		return pb.Verdict_VERDICT_NOT_YET_VALID
	default:
		return pb.Verdict_VERDICT_ACCEPTED
	}
}

var identifiers = map[customer.Identifier]pb.Identifier{
	customer.Unspecified: pb.Identifier_IDENTIFIER_UNSPECIFIED,
	customer.ExternalID:  pb.Identifier_IDENTIFIER_EXTERNAL_ID,
	customer.Email:       pb.Identifier_IDENTIFIER_EMAIL,
}
