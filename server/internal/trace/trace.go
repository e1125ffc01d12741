// Package trace makes a span of each sampled call and sends the spans to an OpenTelemetry
// collector. No call waits for the collector. It alone knows OpenTelemetry.
package trace

import (
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/chatidentity/chatidentity/server/internal/outage"
)

// Bounds of what spans may cost.
const (
	// MaxSpans is how many spans are made a second, whoever asks for them.
	MaxSpans = 100
	// maxQueue is how many spans wait for the collector.
	maxQueue = 2048
	// maxAttributes and maxEvents are more than a span of ours has.
	maxAttributes, maxEvents = 16, 8
)

// Protocol is how spans are sent.
type Protocol string

// The protocols, as OTEL_EXPORTER_OTLP_PROTOCOL names them.
const (
	GRPC Protocol = "grpc"
	HTTP Protocol = "http/protobuf"
)

// Options are what a Tracer is made of. The exporter reads its endpoint, headers, certificates,
// compression and timeout from the environment, as OpenTelemetry defines them.
type Options struct {
	Protocol Protocol
	Sampler  Sampler // zero: the caller decides; calls without a traceparent are sampled
	Version  string  // of the program
	Instance string  // name of the process; empty: the host's
	Log      *slog.Logger
	Now      func() time.Time // nil: time.Now
}

// Tracer makes spans of calls. Nil makes none. It is safe for concurrent use.
type Tracer struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	queue    *queue
	log      *slog.Logger
}

// New returns a tracer that connects to the collector when there is something to send. An error is
// one of the environment's values.
func New(ctx context.Context, o Options) (*Tracer, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Instance == "" {
		o.Instance, _ = os.Hostname() // without one, there is none
	}
	announce(o.Log)
	who, err := resource.New(ctx, resource.WithAttributes(
		semconv.ServiceName("chatidentity"), semconv.ServiceVersion(o.Version), semconv.ServiceInstanceID(o.Instance),
	), resource.WithTelemetrySDK(), resource.WithFromEnv()) // the last one prevails
	if err != nil {
		return nil, err
	}
	exporter, err := newExporter(ctx, o.Protocol)
	if err != nil {
		return nil, err
	}
	q := newQueue(exporter, o.Log)
	limits := sdktrace.NewSpanLimits()
	limits.AttributeCountLimit, limits.EventCountLimit = maxAttributes, maxEvents
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithResource(who),
		sdktrace.WithSampler(newBound(o.Sampler, q.drops, o.Now)),
		sdktrace.WithSpanProcessor(q),
		sdktrace.WithRawSpanLimits(limits),
	)
	return &Tracer{
		provider: provider, tracer: provider.Tracer("github.com/chatidentity/chatidentity"), queue: q, log: o.Log,
	}, nil
}

// A batch is tried again for a few seconds and no longer, so that an outage is soon known:
// meanwhile the queue fills.
const (
	firstRetry, lastRetry = 500 * time.Millisecond, 2 * time.Second
	retryTime             = 5 * time.Second
)

func newExporter(ctx context.Context, protocol Protocol) (sdktrace.SpanExporter, error) {
	if protocol == GRPC {
		return otlptracegrpc.New(ctx, otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{
			Enabled: true, InitialInterval: firstRetry, MaxInterval: lastRetry, MaxElapsedTime: retryTime,
		}))
	}
	return otlptracehttp.New(ctx, otlptracehttp.WithRetry(otlptracehttp.RetryConfig{
		Enabled: true, InitialInterval: firstRetry, MaxInterval: lastRetry, MaxElapsedTime: retryTime,
	}))
}

// announce has OpenTelemetry write to our log what it would write to standard error.
func announce(log *slog.Logger) {
	own := log.With("event", "tracing_error")
	otel.SetLogger(logr.FromSlogHandler(own.Handler()))
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		log.Warn("tracing", "event", "tracing_error", "error", brief(err))
	}))
}

// Outage is that of the collector.
func (t *Tracer) Outage() *outage.Outage { return t.queue.outage }

// Collector returns the metrics of the spans.
func (t *Tracer) Collector() prometheus.Collector { return t.queue }

// Close sends what waits, until ctx ends. Spans that are left then are lost, which is logged.
func (t *Tracer) Close(ctx context.Context) {
	_ = t.provider.Shutdown(ctx) // what it could not send is still waiting
	if left := t.queue.waiting.Load(); left > 0 {
		t.log.Warn("spans were not sent before the stop", "event", "spans_lost", "spans", left)
	}
}
