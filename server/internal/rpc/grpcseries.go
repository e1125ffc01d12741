package rpc

import (
	"context"
	"fmt"
	"strings"

	grpcprom "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/grpc"
)

// grpcSeries are the grpc_server_* series of one method. The provider's interceptor looks each of
// them up by its labels on each call; here that happens once.
type grpcSeries struct {
	started, received, sent prometheus.Counter
	handled                 map[string]prometheus.Counter // by code
	seconds                 latency
}

// latency is a histogram whose observations may have exemplars.
type latency interface {
	prometheus.Observer
	prometheus.ExemplarObserver
}

// seriesByMethod returns the provider's own series, which must have been initialized.
func seriesByMethod(m *grpcprom.ServerMetrics) map[string]*grpcSeries {
	metrics := make(chan prometheus.Metric)
	go func() {
		m.Collect(metrics)
		close(metrics)
	}()
	all := map[string]*grpcSeries{}
	families := map[*prometheus.Desc]string{} // a description takes its time to be spelled out
	for metric := range metrics {
		labels := labelsOf(metric)
		fullMethod := "/" + labels["grpc_service"] + "/" + labels["grpc_method"]
		if all[fullMethod] == nil {
			all[fullMethod] = &grpcSeries{handled: map[string]prometheus.Counter{}}
		}
		if families[metric.Desc()] == "" {
			families[metric.Desc()] = metric.Desc().String()
		}
		all[fullMethod].add(metric, families[metric.Desc()], labels["grpc_code"])
	}
	return all
}

func labelsOf(metric prometheus.Metric) map[string]string {
	var written dto.Metric
	if err := metric.Write(&written); err != nil {
		panic(fmt.Sprintf("a counter without calls cannot be read: %v", err)) // a fault of the program
	}
	labels := map[string]string{}
	for _, label := range written.GetLabel() {
		labels[label.GetName()] = label.GetValue()
	}
	return labels
}

func (s *grpcSeries) add(metric prometheus.Metric, family, code string) {
	if observer, ok := metric.(latency); ok {
		s.seconds = observer
		return
	}
	counter := metric.(prometheus.Counter) //nolint:forcetypeassert // the provider has no other kinds
	is := func(name string) bool { return strings.Contains(family, `"`+name+`"`) }
	switch {
	case is("grpc_server_started_total"):
		s.started = counter
	case is("grpc_server_msg_received_total"):
		s.received = counter
	case is("grpc_server_msg_sent_total"):
		s.sent = counter
	case is("grpc_server_handled_total"):
		s.handled[code] = counter
	}
}

// count counts a call as the provider's interceptor does.
func (s *Server) count(
	ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
) (any, error) {
	c := callFrom(ctx)
	series := c.method.series
	series.started.Inc()
	series.received.Inc()
	reply, err := handler(ctx, req)
	if err == nil {
		series.sent.Inc()
	}
	series.handled[grpcprom.FromError(err).Code().String()].Inc()
	series.observe(s.options.Now().Sub(c.began).Seconds(), c.span.TraceID())
	return reply, err
}

// observe adds the time that a call took. The trace of a sampled call is its exemplar.
func (s *grpcSeries) observe(seconds float64, traceID string) {
	if traceID == "" {
		s.seconds.Observe(seconds)
		return
	}
	s.seconds.ObserveWithExemplar(seconds, prometheus.Labels{"trace_id": traceID})
}
