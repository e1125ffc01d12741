package rpc

import (
	"context"
	"log/slog"
	"strings"

	"google.golang.org/grpc"

	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/trace"
)

// trace makes a span of a call that is sampled.
func (s *Server) trace(
	ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
) (any, error) {
	c := callFrom(ctx)
	s.startSpan(c)
	defer func() { c.span.End(c.outcome()) }() // also of a call that panics
	return handler(ctx, req)
}

// startSpan leaves a call without a span if tracing is off, or if the call is not sampled.
func (s *Server) startSpan(c *call) {
	if s.options.Tracer == nil {
		return
	}
	c.span = s.options.Tracer.Start(strings.TrimPrefix(c.method.info.FullMethod, "/"), c.began,
		c.arrival.first("traceparent"), c.arrival.first("tracestate"))
}

// outcome is what a span says at its end.
func (c *call) outcome() trace.Outcome {
	o := trace.Outcome{Code: audit.OutcomeOK, AuditID: c.auditID}
	if c.organization.isKnown() {
		o.Organization = c.organization.Name
	}
	if c.refusal != nil {
		o.Code, o.Reason, o.IsFault = c.refusal.codeName(), c.refusal.reasonName(), !c.refusal.isCallersFault()
	}
	return o
}

// traceID returns the ID of the trace that the call belongs to: its span's or, if it has none, that
// of its caller; empty for neither.
func (c *call) traceID() string {
	if id := c.span.TraceID(); id != "" {
		return id
	}
	return traceID(c.arrival.first("traceparent"))
}

// traceID returns the trace-id of a W3C traceparent header, or nothing. It accepts what
// OpenTelemetry accepts, and allocates nothing.
// https://www.w3.org/TR/trace-context/#traceparent-header
func traceID(traceparent string) string {
	version, rest, _ := strings.Cut(traceparent, "-")
	id, rest, _ := strings.Cut(rest, "-")
	span, rest, _ := strings.Cut(rest, "-")
	flags, more, _ := strings.Cut(rest, "-")
	switch {
	case !isHex(version, 2), version == "ff", !isHex(id, 32), isZero(id), !isHex(span, 16), isZero(span), !isHex(flags, 2),
		version == "00" && (more != "" || flags > "03"):
		return ""
	default:
		return id
	}
}

func isHex(text string, length int) bool {
	return len(text) == length && strings.Trim(text, "0123456789abcdef") == ""
}

func isZero(text string) bool { return strings.Trim(text, "0") == "" }

// traceAttr names the trace in a line of the log, if there is one.
func traceAttr(id string) slog.Attr {
	if id == "" {
		return slog.Attr{}
	}
	return slog.String("trace_id", id)
}
