package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	oteltrace "go.opentelemetry.io/otel/trace"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

// collector takes spans, by the official protobufs of OTLP.
type collector struct {
	collectorpb.UnimplementedTraceServiceServer

	url      string
	requests atomic.Int32
	hang     chan struct{} // nil: it does not hang

	mu    sync.Mutex
	spans []*tracepb.Span
	names map[string]bool // of the services that sent them
}

const (
	overGRPC = "grpc"
	overHTTP = "http/protobuf"
)

// startCollector starts one that is asked over that protocol.
func startCollector(t *testing.T, protocol string, hang chan struct{}) *collector {
	t.Helper()
	c := &collector{hang: hang, names: map[string]bool{}}
	if protocol == overHTTP {
		server := httptest.NewServer(c)
		t.Cleanup(server.Close)
		c.url = server.URL
		return c
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	collectorpb.RegisterTraceServiceServer(server, c)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	c.url = "http://" + listener.Addr().String()
	return c
}

func (c *collector) Export(
	ctx context.Context, request *collectorpb.ExportTraceServiceRequest,
) (*collectorpb.ExportTraceServiceResponse, error) {
	c.requests.Add(1)
	if c.hang != nil {
		select {
		case <-c.hang:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range request.GetResourceSpans() {
		c.names[attributes(resource.GetResource().GetAttributes())["service.name"]] = true
		for _, scope := range resource.GetScopeSpans() {
			c.spans = append(c.spans, scope.GetSpans()...)
		}
	}
	return &collectorpb.ExportTraceServiceResponse{}, nil
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var request collectorpb.ExportTraceServiceRequest
	if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &request) != nil {
		http.Error(w, "not a batch of spans", http.StatusBadRequest)
		return
	}
	if _, err := c.Export(r.Context(), &request); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// received returns the sidecar's spans by the audit ID of their calls.
func (c *collector) received() map[string]*tracepb.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	byAuditID := map[string]*tracepb.Span{}
	for _, span := range c.spans {
		if id := attributes(span.GetAttributes())["chatidentity.audit_id"]; id != "" {
			byAuditID[id] = span
		}
	}
	return byAuditID
}

func attributes(all []*commonpb.KeyValue) map[string]string {
	texts := map[string]string{}
	for _, a := range all {
		texts[a.GetKey()] = a.GetValue().GetStringValue()
	}
	return texts
}

// traced returns a set-up that sends spans to the collector at once.
func traced(url, protocol string, args ...string) setup {
	s := withSecret(args...)
	s.env = append(s.env, "OTEL_EXPORTER_OTLP_ENDPOINT="+url, "OTEL_EXPORTER_OTLP_PROTOCOL="+protocol, "OTEL_BSP_SCHEDULE_DELAY=50")
	return s
}

// tracedClient begins a span as a traced backend does, and returns the context that calls the
// sidecar.
func tracedClient(t *testing.T, url string) (context.Context, oteltrace.Span, func()) {
	t.Helper()
	exporter, err := otlptracegrpc.New(t.Context(), otlptracegrpc.WithEndpointURL(url))
	if err != nil {
		t.Fatal(err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
	ctx, span := provider.Tracer("backend").Start(t.Context(), "log in", oteltrace.WithSpanKind(oteltrace.SpanKindClient))
	headers := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, headers)
	ctx = metadata.NewOutgoingContext(ctx, metadata.New(headers))
	return ctx, span, func() {
		span.End()
		if err := provider.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// span waits for the one of a call.
func (c *collector) span(t *testing.T, auditID string) *tracepb.Span {
	t.Helper()
	eventually(t, "span of "+auditID, func() bool { return c.received()[auditID] != nil })
	return c.received()[auditID]
}

// everything is all that was received, as text.
func (c *collector) everything() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all strings.Builder
	for _, span := range c.spans {
		all.WriteString(span.String())
	}
	return all.String()
}
