package rpc

import (
	"context"

	grpcprom "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
)

// metrics counts calls. No label holds anything that a request can choose.
type metrics struct {
	grpc            *grpcprom.ServerMetrics
	tokens          *prometheus.CounterVec
	refusals        *prometheus.CounterVec
	verdicts        *prometheus.CounterVec
	limited         *prometheus.CounterVec
	transportErrors *prometheus.CounterVec
	givenUp         prometheus.Counter
	panics          prometheus.Counter
	connections     prometheus.Gauge
}

func newMetrics() *metrics {
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "chatidentity_" + name, Help: help}, labels)
	}
	return &metrics{
		grpc:     newGRPCMetrics(),
		tokens:   vec("tokens_issued_total", "Tokens issued, by organization and login identifier.", "organization", "identifier"),
		refusals: vec("refusals_total", "Calls that were answered with an error of ours, by its reason.", "reason"),
		verdicts: vec("verdicts_total", "Tokens verified, by verdict.", "verdict"),
		limited:  vec("limited_total", "Calls over a rate limit, by limit; with the prefix \"shadow:\" those that passed all the same.", "limit"),
		transportErrors: vec("transport_errors_total",
			"Calls and connections that ended before they reached the service: decode, unknown_method, connection_limit, caller_unknown, tls.", "kind"),
		givenUp: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "chatidentity_calls_given_up_total",
			Help: "Calls whose caller gave up, or whose deadline passed, while the record was written: no token left.",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "chatidentity_panics_total", Help: "Panics that were recovered from.",
		}),
		connections: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "chatidentity_connections", Help: "Open connections of callers.",
		}),
	}
}

// startAtZero makes the counters whose labels are known before the first call,
// so that an alert sees that call too.
func (m *metrics) startAtZero(organizations []Organization) {
	for n := range pb.ErrorReason_name {
		if reason := pb.ErrorReason(n); reason != pb.ErrorReason_ERROR_REASON_UNSPECIFIED {
			m.refusals.WithLabelValues((&refusal{reason: reason}).reasonName())
		}
	}
	for n := range pb.Verdict_name {
		if verdict := pb.Verdict(n); verdict != pb.Verdict_VERDICT_UNSPECIFIED {
			m.verdicts.WithLabelValues(verdictName(verdict))
		}
	}
	for _, limit := range ratelimit.Limits() {
		m.limited.WithLabelValues(limit.String())
	}
	for _, kind := range []string{"decode", "unknown_method", "connection_limit", "caller_unknown", "tls"} {
		m.transportErrors.WithLabelValues(kind)
	}
	for _, organization := range organizations {
		for _, identifier := range []customer.Identifier{customer.ExternalID, customer.Email} {
			m.tokens.WithLabelValues(organization.Name, identifier.String())
		}
	}
}

// Collectors returns what to register for /metrics.
func (s *Server) Collectors() []prometheus.Collector {
	m := s.metrics
	return []prometheus.Collector{m.grpc, m.tokens, m.refusals, m.verdicts, m.limited, m.transportErrors, m.givenUp, m.panics, m.connections}
}

func (m *metrics) count(c *call) {
	if c.limit != "" {
		m.limited.WithLabelValues(c.limit).Inc()
	}
	switch {
	case c.givenUp:
		m.givenUp.Inc()
	case c.refusal != nil:
		m.refusals.WithLabelValues(c.refusal.reasonName()).Inc()
	case c.carriesToken():
		login, _ := c.signed.Login()
		m.tokens.WithLabelValues(c.organization.Name, login.String()).Inc()
	default:
		m.verdicts.WithLabelValues(c.verdict).Inc()
	}
}

// countingRegistrar counts messages that cannot be decoded: grpc-go answers
// those before any interceptor runs.
type countingRegistrar struct {
	grpc.ServiceRegistrar
	metrics *metrics
}

func (r countingRegistrar) RegisterService(service *grpc.ServiceDesc, implementation any) {
	counted := *service
	counted.Methods = make([]grpc.MethodDesc, len(service.Methods))
	for i, method := range service.Methods {
		counted.Methods[i] = grpc.MethodDesc{MethodName: method.MethodName, Handler: r.counting(method.Handler)}
	}
	r.ServiceRegistrar.RegisterService(&counted, implementation)
}

func (r countingRegistrar) counting(handler grpc.MethodHandler) grpc.MethodHandler {
	return func(srv any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
		countedDecode := func(message any) error {
			err := decode(message)
			if err != nil {
				r.metrics.transportErrors.WithLabelValues("decode").Inc()
			}
			return err
		}
		return handler(srv, ctx, countedDecode, interceptor)
	}
}

func unknownMethod(any, grpc.ServerStream) error {
	return status.Error(codes.Unimplemented, "unknown method")
}
