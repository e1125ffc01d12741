package trace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

const (
	sampledParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	otherParent   = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
)

// collector is an exporter that does what a test wants.
type collector struct{ export func(context.Context) error }

func (c collector) ExportSpans(ctx context.Context, _ []sdktrace.ReadOnlySpan) error {
	return c.export(ctx)
}

func (collector) Shutdown(context.Context) error { return nil }

func silent() *slog.Logger { return slog.New(slog.DiscardHandler) }

// tracerTo returns a tracer that exports to e, at a clock that stands still.
func tracerTo(t *testing.T, e sdktrace.SpanExporter, s Sampler) *Tracer {
	t.Helper()
	now := time.Now()
	q := newQueue(e, silent())
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithSampler(newBound(s, q.drops, func() time.Time { return now })), sdktrace.WithSpanProcessor(q),
	)
	return &Tracer{provider: provider, tracer: provider.Tracer("test"), queue: q, log: silent()}
}

func count(t *testing.T, c prometheus.Counter) int {
	t.Helper()
	var written dto.Metric
	if err := c.Write(&written); err != nil {
		t.Fatal(err)
	}
	return int(written.GetCounter().GetValue())
}

// A flood of calls that their callers sample has as many spans as a second may have, and the rest
// is counted.
func TestSpansASecond(t *testing.T) {
	t.Parallel()
	for name, sampler := range map[string]string{"by their callers": DefaultSampler, "always": "always_on"} {
		s, _ := NewSampler(sampler, 1)
		tracer := tracerTo(t, tracetest.NewInMemoryExporter(), s)
		spans := 0
		for range 1_000 {
			if span := tracer.Start("service/Method", time.Now(), sampledParent, ""); span != nil {
				spans++
				span.End(Outcome{Code: "OK"})
			}
		}
		if n := count(t, tracer.queue.drops.rate); spans != MaxSpans || n != 1_000-MaxSpans {
			t.Errorf("%s: %d spans of 1,000 calls, %d dropped; want %d", name, spans, n, MaxSpans)
		}
		tracer.Close(t.Context())
	}
}

func TestSamplers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		sampler, parent string
		isSampled       bool
	}{
		{DefaultSampler, sampledParent, true},
		{DefaultSampler, otherParent, false},
		{DefaultSampler, "", true},
		{DefaultSampler, "not a traceparent", true},
		{"always_on", otherParent, true},
		{"always_off", sampledParent, false},
		{"traceidratio", sampledParent, false},
		{"parentbased_always_off", sampledParent, true},
		{"parentbased_always_off", "", false},
		{"parentbased_traceidratio", sampledParent, true},
		{"parentbased_traceidratio", "", false},
	} {
		s, found := NewSampler(test.sampler, 0)
		if !found {
			t.Fatalf("no sampler %s", test.sampler)
		}
		tracer := tracerTo(t, tracetest.NewInMemoryExporter(), s)
		if span := tracer.Start("service/Method", time.Now(), test.parent, ""); (span != nil) != test.isSampled {
			t.Errorf("%s, parent %q: sampled %v", test.sampler, test.parent, span != nil)
		}
		tracer.Close(t.Context())
	}
	if _, found := NewSampler("jaeger_remote", 1); found {
		t.Error("a sampler that needs a server")
	}
}

// While the collector hangs, as many spans wait as may; the rest is dropped at once, and counted.
func TestAHangingCollectorFillsTheQueueAndNoMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		q := newQueue(collector{func(context.Context) error {
			<-release
			return nil
		}}, silent())
		provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(q))
		const more = 500
		for range maxQueue + more {
			_, span := provider.Tracer("test").Start(t.Context(), "call")
			span.End()
			synctest.Wait()
		}
		if n := count(t, q.drops.queue); n != more || q.waiting.Load() != maxQueue {
			t.Errorf("%d dropped, %d waiting; want %d and %d", n, q.waiting.Load(), more, maxQueue)
		}
		close(release)
		if err := provider.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if sent := count(t, q.sent); sent != maxQueue || q.waiting.Load() != 0 {
			t.Errorf("%d sent, %d waiting after the end; want %d and none", sent, q.waiting.Load(), maxQueue)
		}
	})
}

// What a collector refuses is counted, and an outage that ends when it takes spans again.
func TestARefusingCollectorIsAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var failure error
		var lines strings.Builder
		q := newQueue(collector{func(context.Context) error { return failure }}, slog.New(slog.NewTextHandler(&lines, nil)))
		provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(q))
		for _, failure = range []error{
			fmt.Errorf("unauthorized: %s", strings.Repeat("long", 1_000)), io.EOF, nil, nil,
		} {
			_, span := provider.Tracer("test").Start(t.Context(), "call")
			span.End()
			time.Sleep(sdktrace.DefaultScheduleDelay * time.Millisecond) // of the bubble's clock: it takes no time
			synctest.Wait()
		}
		if err := provider.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if failed, sent := count(t, q.drops.export), count(t, q.sent); failed != 2 || sent != 2 {
			t.Errorf("%d failed, %d sent; want two and two", failed, sent)
		}
		log := lines.String()
		if strings.Count(log, "outage_began") != 1 || strings.Count(log, "outage_ended") != 1 || len(log) > 1_000 {
			t.Errorf("not two short lines of one outage: %s", log)
		}
	})
}

// A collector may take all spans and still say something about them.
func TestARemarkOfTheCollectorIsNoLoss(t *testing.T) {
	t.Parallel()
	for rejected, sent := range map[int64]int{0: 1, 1: 0} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			answer, _ := proto.Marshal(&collectorpb.ExportTraceServiceResponse{
				PartialSuccess: &collectorpb.ExportTracePartialSuccess{RejectedSpans: rejected, ErrorMessage: "upgrade soon"},
			})
			w.Header().Set("Content-Type", "application/x-protobuf")
			_, _ = w.Write(answer)
		}))
		t.Cleanup(server.Close)
		exporter, err := otlptracehttp.New(t.Context(), otlptracehttp.WithEndpointURL(server.URL))
		if err != nil {
			t.Fatal(err)
		}
		q := newQueue(exporter, silent())
		t.Cleanup(func() {
			if err := q.Shutdown(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
		})
		_ = exports{q}.ExportSpans(t.Context(), tracetest.SpanStubs{{Name: "call"}}.Snapshots()) // it never fails
		if got, lost := count(t, q.sent), count(t, q.drops.export); got != sent || lost != 1-sent || (q.state() == nil) != (sent == 1) {
			t.Errorf("%d rejected: %d sent, %d lost, outage %v", rejected, got, lost, q.state())
		}
	}
}

func TestBriefKeepsShortErrors(t *testing.T) {
	t.Parallel()
	if short := errors.New("short"); !errors.Is(brief(short), short) || brief(nil) != nil {
		t.Error("a short error, or none, is changed")
	}
}

// A tracestate may be as long as W3C Trace Context asks for, and no longer.
func TestTracestateIsBounded(t *testing.T) {
	t.Parallel()
	for length, isKept := range map[int]bool{256: true, maxState + 1: false} {
		exporter := tracetest.NewInMemoryExporter()
		tracer := tracerTo(t, exporter, Sampler{})
		state := ""
		for len(state) < length-3 {
			state += fmt.Sprintf("k%d=%s,", len(state), strings.Repeat("v", 50))
		}
		state += "a=b"
		tracer.Start("service/Method", time.Now(), sampledParent, state).End(Outcome{Code: "OK"})
		if err := tracer.provider.ForceFlush(t.Context()); err != nil {
			t.Fatal(err)
		}
		spans := exporter.GetSpans()
		if len(spans) != 1 || (spans[0].SpanContext.TraceState().Len() > 0) != isKept {
			t.Errorf("a tracestate of %d characters: %+v", len(state), spans)
		}
		tracer.Close(t.Context())
	}
}

// Nothing is made, and nothing crashes, while tracing is off.
//
//nolint:paralleltest // it counts what the process allocates
func TestOff(t *testing.T) {
	var tracer *Tracer
	if n := testing.AllocsPerRun(10, func() {
		span := tracer.Start("service/Method", time.Time{}, sampledParent, "a=b")
		span.Event("limit", "chatidentity.limit", "customer")
		span.End(Outcome{Code: "OK", AuditID: "id"})
		if span.TraceID() != "" {
			t.Error("a span that is off has a trace")
		}
	}); n != 0 {
		t.Errorf("%v allocations of a call while tracing is off", n)
	}
}
