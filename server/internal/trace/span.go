package trace

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// Span is that of one call. Nil is one that is not sampled; its methods do nothing.
type Span struct {
	span trace.Span
	id   string
}

// maxState is how long a tracestate may be: W3C Trace Context asks for 512 characters, and what is
// longer is left out.
const maxState = 512

// parent is what a call says of the span that it belongs to: two headers of W3C Trace Context.
type parent struct{ traceparent, tracestate string }

func (p parent) Get(key string) string {
	switch {
	case key == "traceparent":
		return p.traceparent
	case key == "tracestate" && len(p.tracestate) <= maxState:
		return p.tracestate
	default:
		return ""
	}
}

func (parent) Set(string, string) {}

func (parent) Keys() []string { return nil }

// Start begins the span of a call of a method ("package.Service/Method"), or returns nil if the
// call is not sampled.
func (t *Tracer) Start(method string, began time.Time, traceparent, tracestate string) *Span {
	if t == nil {
		return nil
	}
	ctx := context.Background()
	if traceparent != "" {
		ctx = propagation.TraceContext{}.Extract(ctx, parent{traceparent, tracestate})
	}
	_, span := t.tracer.Start(ctx, method,
		trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(began))
	if !span.IsRecording() {
		return nil
	}
	span.SetAttributes(semconv.RPCSystemNameGRPC, semconv.RPCMethod(method))
	return &Span{span, span.SpanContext().TraceID().String()}
}

// TraceID returns the trace's ID in hex; empty for nil.
func (s *Span) TraceID() string {
	if s == nil {
		return ""
	}
	return s.id
}

// Event says that a step is done. An empty value is left out; no value may be of a person.
func (s *Span) Event(name, key, value string) {
	if s == nil {
		return
	}
	if value == "" {
		s.span.AddEvent(name)
		return
	}
	s.span.AddEvent(name, trace.WithAttributes(attribute.String(key, value)))
}

// Outcome is how a call ended. Nothing in it is of a person.
type Outcome struct {
	Code         string // of gRPC, in capitals
	IsFault      bool   // ours, not the caller's
	Reason       string // of an error
	AuditID      string
	Organization string
}

// End ends the span.
func (s *Span) End(o Outcome) {
	if s == nil {
		return
	}
	s.span.SetAttributes(semconv.RPCResponseStatusCode(o.Code))
	for _, a := range []attribute.KeyValue{
		attribute.String("chatidentity.reason", o.Reason),
		attribute.String("chatidentity.audit_id", o.AuditID),
		attribute.String("chatidentity.organization", o.Organization),
	} {
		if a.Value.AsString() != "" {
			s.span.SetAttributes(a)
		}
	}
	if o.IsFault {
		s.span.SetStatus(codes.Error, o.Reason)
	}
	s.span.End()
}
