package rpc

import (
	"context"
	"errors"
	"log/slog"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

// audit opens the call and closes it: whatever comes of it is recorded, and a
// reply that holds a token leaves only once its record is written.
func (s *Server) audit(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	now := s.options.Now()
	c := &call{method: methods[info.FullMethod], began: now, auditID: s.options.NewAuditID(now), refusal: internal(errors.New("no answer"))}
	reply, err := handler(withCall(ctx, c), req)
	c.refusal = asRefusal(err)
	if err := s.options.Audit.Write(ctx, s.record(ctx, c)); err != nil && c.carriesToken() {
		c.refusal, c.givenUp = auditUnavailable(err), ctx.Err() != nil
	}
	s.metrics.count(c)
	if c.refusal == nil {
		return reply, nil
	}
	s.logCause(ctx, c)
	return nil, c.refusal.audited(c.auditID)
}

// logCause logs why a call failed. An outage is logged by the room that has it,
// once: a line a call would fill the log, so those are for debugging.
func (s *Server) logCause(ctx context.Context, c *call) {
	if c.refusal.cause == nil {
		return
	}
	level := slog.LevelDebug
	if c.refusal.code() == codes.Internal {
		level = slog.LevelError
	}
	s.options.Logger.LogAttrs(ctx, level, "call failed", slog.String("audit_id", c.auditID),
		slog.String("reason", c.refusal.reasonName()), slog.String("error", c.refusal.cause.Error()))
}

// asRefusal makes an INTERNAL of an error that no step of the chain meant for
// clients.
func asRefusal(err error) *refusal {
	var r *refusal
	switch {
	case err == nil:
		return nil
	case errors.As(err, &r):
		return r
	default:
		return internal(err)
	}
}
