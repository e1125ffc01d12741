package rpc

import (
	"context"
	"errors"
	"log/slog"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

// errUnanswered is what a call is refused with until the handler has answered.
var errUnanswered = internal(errors.New("no answer"))

// audit closes the call: whatever its outcome, it is recorded, and a reply that
// carries a token leaves only after its record is written.
func (s *Server) audit(
	ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
) (any, error) {
	c := callFrom(ctx)
	c.auditID, c.refusal = s.options.NewAuditID(c.began), errUnanswered
	reply, err := handler(ctx, req)
	c.refusal = asRefusal(err)
	record := s.record(c)
	err = s.options.Audit.Write(ctx, record)
	c.auditID = record.AuditID
	c.span.Event("audit", "", "")
	if err != nil && c.refusal == nil && !c.method.leavesUnrecorded {
		c.refusal, c.givenUp = auditUnavailable(err), ctx.Err() != nil
	}
	s.metrics.count(c)
	if c.refusal == nil {
		return reply, nil
	}
	if c.refusal.isCallersFault() {
		c.arrival.connection.SpendRefusals(c.arrival.refusals())
	}
	s.logCause(ctx, c)
	return nil, c.refusal.audited(c.auditID)
}

// logCause logs why a call failed. Each room logs its own outage once; a line per call would fill
// the log, so those are for debugging. A user who is not proven is no outage: nobody else would say which
// claim is at fault.
func (s *Server) logCause(ctx context.Context, c *call) {
	if c.refusal.isOfProof() && s.transport.lines.isDue(c.refusal.reasonName()) {
		s.options.Logger.LogAttrs(ctx, slog.LevelWarn, "user not proven", slog.String("event", "user_unproven"),
			slog.String("audit_id", c.auditID), slog.String("caller", c.caller.String()),
			slog.String("reason", c.refusal.reasonName()), traceAttr(c.record.TraceID),
			slog.String("error", c.refusal.message))
	}
	if c.refusal.cause == nil {
		return
	}
	level := slog.LevelDebug
	if c.refusal.code() == codes.Internal {
		level = slog.LevelError
	}
	s.options.Logger.LogAttrs(ctx, level, "call failed", slog.String("event", "call_failed"),
		slog.String("audit_id", c.auditID), slog.String("reason", c.refusal.reasonName()),
		traceAttr(c.record.TraceID), slog.String("error", c.refusal.cause.Error()))
}

// record describes the call for the audit trail. It holds only pseudonyms and digests.
func (s *Server) record(c *call) *audit.Record {
	login, _ := c.signed.Login()
	c.record = audit.Record{
		Time:        c.began,
		AuditID:     c.auditID,
		Event:       c.method.event,
		Outcome:     audit.OutcomeOK,
		Reason:      c.detail,
		Identifier:  login.String(),
		Verdict:     c.verdict,
		Limit:       c.limit,
		Caller:      c.callerName,
		Peer:        c.caller.Peer,
		RequestID:   c.arrival.first("x-request-id"),
		TraceID:     c.traceID(),
		TokenSHA256: c.tokenDigest,
		SecretID:    c.secretID,
		Duration:    s.options.Now().Sub(c.began),
	}
	if c.organization.isKnown() {
		c.record.Organization = c.organization.Name
	}
	if c.refusal != nil {
		c.record.Outcome, c.record.Reason = c.refusal.codeName(), c.refusal.reasonName()
	}
	if !c.issued.IsZero() {
		c.record.IssuedAt = c.issued.Unix()
	}
	if c.given.ExternalID != "" {
		c.record.ExternalIDHMAC = s.options.Audit.Pseudonym(audit.KindExternalID, c.given.ExternalID)
	}
	if c.given.Email != "" {
		c.record.EmailHMAC = s.options.Audit.Pseudonym(audit.KindEmail, c.given.Email)
	}
	return &c.record
}
