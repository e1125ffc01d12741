package trace

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/chatidentity/chatidentity/server/internal/outage"
)

// queue holds spans until the collector has them: never more than maxQueue, whatever the collector
// does. OpenTelemetry's processor makes batches of them; what it drops, nobody would learn.
type queue struct {
	sdktrace.SpanProcessor // makes batches, and has this queue export them

	exporter sdktrace.SpanExporter
	waiting  atomic.Int64 // for their batch to be sent
	sent     prometheus.Counter
	drops    *drops
	outage   *outage.Outage

	mu     sync.Mutex
	failed error // what the last batch ended with
}

// drops counts spans that the collector does not get.
type drops struct{ rate, queue, export prometheus.Counter }

func newQueue(exporter sdktrace.SpanExporter, log *slog.Logger) *queue {
	dropped := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "chatidentity_trace_spans_dropped_total",
		Help: "Spans that the collector did not get: rate are those beyond what is sampled in a second, queue those that " +
			"found too many waiting, export those whose batch failed or was accepted in part. When it moves: for rate, " +
			"sample fewer calls; for the others, see why the collector does not take them.",
	}, []string{"reason"})
	q := &queue{
		exporter: exporter,
		sent: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "chatidentity_trace_spans_sent_total",
			Help: "Spans that the collector has accepted. When it moves: it follows the calls that are sampled.",
		}),
		drops: &drops{
			dropped.WithLabelValues("rate"), dropped.WithLabelValues("queue"), dropped.WithLabelValues("export"),
		},
	}
	q.outage = outage.New("tracing", log, q.state)
	q.SpanProcessor = sdktrace.NewBatchSpanProcessor(exports{q}, sdktrace.WithMaxQueueSize(maxQueue))
	return q
}

// OnEnd implements sdktrace.SpanProcessor. It never waits.
func (q *queue) OnEnd(span sdktrace.ReadOnlySpan) {
	if q.waiting.Add(1) > maxQueue {
		q.waiting.Add(-1)
		q.drops.queue.Inc()
		return
	}
	q.SpanProcessor.OnEnd(span)
}

func (q *queue) state() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.failed
}

// exports is the end of the queue.
type exports struct{ q *queue }

// ExportSpans implements sdktrace.SpanExporter. No error leaves it: the outage and the counters
// have said everything.
func (e exports) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := e.q.exporter.ExportSpans(ctx, spans)
	e.q.waiting.Add(-int64(len(spans)))
	if isRemark(err) {
		err = nil
	}
	if err != nil {
		e.q.drops.export.Add(float64(len(spans)))
	} else {
		e.q.sent.Add(float64(len(spans)))
	}
	e.q.mu.Lock()
	e.q.failed = brief(err)
	e.q.mu.Unlock()
	e.q.outage.Look()
	return nil
}

// isRemark reports whether a collector that has taken all spans only says something about them. The
// error's type is internal to OpenTelemetry.
func isRemark(err error) bool {
	return err != nil && strings.HasPrefix(err.Error(), "traces export: OTLP partial success: ") &&
		strings.HasSuffix(err.Error(), " (0 spans rejected)")
}

// Shutdown implements sdktrace.SpanExporter.
func (e exports) Shutdown(ctx context.Context) error { return e.q.exporter.Shutdown(ctx) }

// Describe implements prometheus.Collector.
func (q *queue) Describe(descs chan<- *prometheus.Desc) { prometheus.DescribeByCollect(q, descs) }

// Collect implements prometheus.Collector.
func (q *queue) Collect(metrics chan<- prometheus.Metric) {
	for _, counter := range []prometheus.Counter{q.sent, q.drops.rate, q.drops.queue, q.drops.export} {
		metrics <- counter
	}
}

// brief is an error whose text fits a log line: a collector's answer may be of any length.
func brief(err error) error {
	const most = 400
	if err == nil || len(err.Error()) <= most {
		return err
	}
	return errors.New(err.Error()[:most] + "…")
}
