package rpc

import (
	"context"
	"strings"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/caller"
	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/policy"
)

// call is the one value that describes a call. The audit opens it, the steps of
// the chain fill it in, and its record is made of it. It is refused until the
// handler has answered.
type call struct {
	method  method
	began   time.Time
	auditID string
	refusal *refusal // nil once answered
	givenUp bool     // by the caller, before the record was durable

	caller       caller.Identity
	grant        *policy.Grant // what the caller may do: one policy from start to finish
	organization *Organization
	given        customer.Customer // as the caller sent it
	signed       customer.Customer // what the identifier policy leaves of it
	invalid      *refusal          // what is wrong with the request: told once it has been paid for

	limit       string // the rate limit that refused, or would have
	verdict     string
	issued      time.Time
	tokenDigest string
	secretID    string
}

// carriesToken reports whether the reply holds a token of ours.
func (c *call) carriesToken() bool {
	return c.method.event == audit.EventIssue && c.refusal == nil
}

type callKey struct{}

func withCall(ctx context.Context, c *call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

// callFrom panics without a call: a step that runs outside the audit is a fault
// of the chain, and recovery makes an INTERNAL of it.
func callFrom(ctx context.Context) *call {
	return ctx.Value(callKey{}).(*call) //nolint:forcetypeassert // see above
}

// record describes the call for the audit trail. It holds pseudonyms and
// digests alone.
func (s *Server) record(ctx context.Context, c *call) *audit.Record {
	login, _ := c.signed.Login()
	record := &audit.Record{
		Time:        c.began,
		AuditID:     c.auditID,
		Event:       c.method.event,
		Outcome:     audit.OutcomeOK,
		Identifier:  login.String(),
		Verdict:     c.verdict,
		Limit:       c.limit,
		Caller:      c.caller.String(),
		Peer:        c.caller.Peer,
		RequestID:   firstHeader(ctx, "x-request-id"),
		TraceID:     traceID(firstHeader(ctx, "traceparent")),
		TokenSHA256: c.tokenDigest,
		SecretID:    c.secretID,
		Duration:    s.options.Now().Sub(c.began),
	}
	if c.organization != nil {
		record.Organization = c.organization.Name
	}
	if c.refusal != nil {
		record.Outcome, record.Reason = c.refusal.codeName(), c.refusal.reasonName()
	}
	if !c.issued.IsZero() {
		record.IssuedAt = c.issued.Unix()
	}
	if c.given.ExternalID != "" {
		record.ExternalIDHMAC = s.options.Audit.Pseudonym(audit.KindExternalID, c.given.ExternalID)
	}
	if c.given.Email != "" {
		record.EmailHMAC = s.options.Audit.Pseudonym(audit.KindEmail, c.given.Email)
	}
	return record
}

func firstHeader(ctx context.Context, name string) string {
	if values := metadata.ValueFromIncomingContext(ctx, name); len(values) > 0 {
		return values[0]
	}
	return ""
}

// traceID returns the trace-id of a W3C traceparent header, or nothing.
// https://www.w3.org/TR/trace-context/#traceparent-header
func traceID(traceparent string) string {
	version, rest, _ := strings.Cut(traceparent, "-")
	id, rest, found := strings.Cut(rest, "-")
	if !found || len(version) != 2 || len(rest) < 19 || len(id) != 32 || strings.Trim(id, "0123456789abcdef") != "" || strings.Trim(id, "0") == "" {
		return ""
	}
	return id
}
