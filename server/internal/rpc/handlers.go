package rpc

import (
	"context"
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
	c.span.Event("sign", "", "")
	c.issued, c.secretID, c.tokenDigest = issued, secrets.Current.ID, token.Digest(signed.Reveal())
	login, _ := c.signed.Login()
	reply := &c.messages.issueReply
	c.messages.issued.Seconds, c.messages.expires.Seconds = issued.Unix(), issued.Add(token.Lifetime).Unix()
	reply.Token, reply.AuditId, reply.LoginIdentifier = signed.Reveal(), c.auditID, identifiers[login]
	reply.IssueTime, reply.ExpireTime = &c.messages.issued, &c.messages.expires
	return reply, nil
}

// VerifyToken returns what Kustomer would say now.
func (h handlers) VerifyToken(ctx context.Context, req *pb.VerifyTokenRequest) (*pb.VerifyTokenResponse, error) {
	c := callFrom(ctx)
	reply, err := h.verify(c, req.GetToken())
	if err != nil {
		return nil, err
	}
	c.verdict, c.detail = verdictName(reply.GetVerdict()), reply.GetDetail()
	return reply, nil
}

// verdictName returns a verdict as audit records hold it.
func verdictName(verdict pb.Verdict) string {
	return strings.TrimPrefix(verdict.String(), "VERDICT_")
}

func (h handlers) verify(c *call, text string) (*pb.VerifyTokenResponse, error) {
	parsed, err := token.Parse(text)
	if err != nil { // the text is at fault: a token.MalformedError
		//nolint:nilerr // the reply says it
		return &pb.VerifyTokenResponse{Verdict: pb.Verdict_VERDICT_MALFORMED, Detail: err.Error()}, nil
	}
	secrets, err := c.organization.Secrets.Snapshot()
	if err != nil {
		return nil, secretUnavailable(err)
	}
	reply := &pb.VerifyTokenResponse{}
	var signer secret.Secret
	switch {
	case parsed.SignedWith(secrets.Current.Value):
		signer = secrets.Current
		reply.Verdict, reply.Detail = h.timeVerdict(parsed.IssueTime())
	case secrets.HasPrevious && parsed.SignedWith(secrets.Previous.Value):
		signer = secrets.Previous
		reply.Verdict = pb.Verdict_VERDICT_PREVIOUS_SECRET
		reply.Detail = "it is signed with the secret before the last change"
	default:
		reply.Verdict = pb.Verdict_VERDICT_BAD_SIGNATURE
		reply.Detail = parsed.SignatureFault(secrets.Current.Value)
		return reply, nil
	}
	c.given, c.signed = parsed.Customer(), parsed.Customer()
	c.issued, c.secretID, c.tokenDigest = parsed.IssueTime(), signer.ID, token.Digest(text)
	login, _ := c.signed.Login()
	reply.Customer = &pb.Customer{ExternalId: c.given.ExternalID, Email: c.given.Email}
	reply.LoginIdentifier = identifiers[login]
	reply.IssueTime = timestamppb.New(parsed.IssueTime())
	reply.ExpireTime = timestamppb.New(parsed.ExpireTime())
	return reply, nil
}

// timeVerdict returns the verdict on a token whose signature is good, and why it is not accepted.
func (h handlers) timeVerdict(issued time.Time) (pb.Verdict, string) {
	now := h.server.options.Now()
	switch {
	case now.Sub(issued) >= token.Lifetime:
		return pb.Verdict_VERDICT_EXPIRED, "iat is 15 minutes old or older"
	case issued.Sub(now) > h.server.options.MaxClockSkew:
		return pb.Verdict_VERDICT_NOT_YET_VALID, "iat lies in the future; is the signer's clock right?"
	default:
		return pb.Verdict_VERDICT_ACCEPTED, ""
	}
}

var identifiers = map[customer.Identifier]pb.Identifier{
	customer.Unspecified: pb.Identifier_IDENTIFIER_UNSPECIFIED,
	customer.ExternalID:  pb.Identifier_IDENTIFIER_EXTERNAL_ID,
	customer.Email:       pb.Identifier_IDENTIFIER_EMAIL,
}
