package rpc

import (
	"maps"
	"slices"

	grpcprom "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	"github.com/prometheus/client_golang/prometheus"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
)

const organizationLabel = "organization"

// metrics counts calls. No label contains anything that a request can choose.
type metrics struct {
	grpc     *grpcprom.ServerMetrics
	tokens   *tokenCounter
	refusals *prometheus.CounterVec
	verdicts *prometheus.CounterVec
	limited  *prometheus.CounterVec
	givenUp  prometheus.Counter
	panics   prometheus.Counter
}

func newMetrics(organizations func() []string) *metrics {
	return &metrics{
		grpc: newGRPCMetrics(),
		tokens: &tokenCounter{
			CounterVec: newCounter("tokens_issued_total",
				"Tokens issued, by organization and login identifier.", organizationLabel, "identifier"),
			organizations: organizations,
		},
		refusals: newCounter("refusals_total", "Calls answered with an error of the sidecar, by reason.", "reason"),
		verdicts: newCounter("verdicts_total", "Tokens verified, by verdict.", "verdict"),
		limited: newCounter("limited_total",
			"Calls over a rate limit, by limit; those with the prefix \"shadow:\" passed nevertheless.", "limit"),
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

// startAtZero creates the counters whose labels are known before the first call, so that an alert
// sees that call too.
func (m *metrics) startAtZero() {
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
}

// Collectors returns what to register for /metrics.
func (s *Server) Collectors() []prometheus.Collector {
	m := s.metrics
	return []prometheus.Collector{
		m.grpc, m.tokens, m.refusals, m.verdicts, m.limited, s.transport.counter, m.givenUp, m.panics,
	}
}

// count counts a call by its outcome.
func (m *metrics) count(c *call) {
	if c.limit != "" {
		m.limited.WithLabelValues(c.limit).Inc()
	}
	switch {
	case c.givenUp:
		m.givenUp.Inc()
	case c.refusal != nil:
		m.refusals.WithLabelValues(c.refusal.reasonName()).Inc()
	default:
		c.method.success(m, c).Inc()
	}
}

// issued counts a token.
func (m *metrics) issued(c *call) prometheus.Counter {
	login, _ := c.signed.Login()
	return m.tokens.of(tokenLabels{c.organization.Name, login})
}

// verified counts a verdict.
func (m *metrics) verified(c *call) prometheus.Counter { return m.verdicts.WithLabelValues(c.verdict) }

// organizationNames returns the names of all organizations.
func (s *Server) organizationNames() []string {
	names := slices.Collect(maps.Keys(s.organizations))
	if p := s.policy(); p != nil {
		names = slices.AppendSeq(names, maps.Keys(p.Organizations))
	}
	return names
}

func newGRPCMetrics() *grpcprom.ServerMetrics {
	seconds := []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}
	return grpcprom.NewServerMetrics(grpcprom.WithServerHandlingTimeHistogram(grpcprom.WithHistogramBuckets(seconds)))
}
