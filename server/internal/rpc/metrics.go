package rpc

import (
	grpcprom "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	"github.com/prometheus/client_golang/prometheus"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
)

// metrics counts calls. No label holds anything that a request can choose.
type metrics struct {
	grpc     *grpcprom.ServerMetrics
	tokens   *prometheus.CounterVec
	refusals *prometheus.CounterVec
	verdicts *prometheus.CounterVec
	limited  *prometheus.CounterVec
	givenUp  prometheus.Counter
	panics   prometheus.Counter
}

func newMetrics() *metrics {
	return &metrics{
		grpc:     newGRPCMetrics(),
		tokens:   newCounter("tokens_issued_total", "Tokens issued, by organization and login identifier.", "organization", "identifier"),
		refusals: newCounter("refusals_total", "Calls that were answered with an error of ours, by its reason.", "reason"),
		verdicts: newCounter("verdicts_total", "Tokens verified, by verdict.", "verdict"),
		limited:  newCounter("limited_total", "Calls over a rate limit, by limit; with the prefix \"shadow:\" those that passed all the same.", "limit"),
		givenUp: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "chatidentity_calls_given_up_total",
			Help: "Calls whose caller gave up, or whose deadline passed, while the record was written: no token left.",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "chatidentity_panics_total", Help: "Panics that were recovered from.",
		}),
	}
}

func newCounter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "chatidentity_" + name, Help: help}, labels)
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
	for _, organization := range organizations {
		for _, identifier := range []customer.Identifier{customer.ExternalID, customer.Email} {
			m.tokens.WithLabelValues(organization.Name, identifier.String())
		}
	}
}

// Collectors returns what to register for /metrics.
func (s *Server) Collectors() []prometheus.Collector {
	m := s.metrics
	return []prometheus.Collector{m.grpc, m.tokens, m.refusals, m.verdicts, m.limited, s.transport.counter, m.givenUp, m.panics}
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
