package rpc

import (
	"maps"
	"slices"
	"strings"
	"time"

	grpcprom "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	"github.com/prometheus/client_golang/prometheus"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
)

const (
	organizationLabel = "organization"
	limitLabel        = "limit"
	modeEnforce       = "enforce"
	modeShadow        = "shadow"
)

// Native histograms stand beside the classic buckets: within 10 %, in at most so many buckets.
const (
	nativeFactor  = 1.1
	nativeBuckets = 100
)

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
				"Tokens issued, by organization and login identifier. When it moves: a fall while people log in means "+
					"that calls are refused or do not come; look at chatidentity_refusals_total and grpc_server_started_total.",
				organizationLabel, "identifier"),
			organizations: organizations,
		},
		refusals: newCounter("refusals_total", "Calls answered with an error of the sidecar, by reason. When it moves: "+
			"docs/troubleshooting.md says what each reason means and what to do.", "reason"),
		verdicts: newCounter("verdicts_total", "Tokens verified, by verdict. When it moves: BAD_SIGNATURE and "+
			"PREVIOUS_SECRET tell of a secret that was changed in one place only.", "verdict"),
		limited: newCounter("limited_total",
			"Calls over a rate limit, by limit and mode; those of mode shadow passed nevertheless. When it moves: "+
				"find out who it is with audit find, and raise the limit only if they should have passed.", limitLabel, "mode"),
		givenUp: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "chatidentity_calls_given_up_total",
			Help: "Calls whose caller gave up, or whose deadline passed, while the record was written: no token left. " +
				"When it moves: compare chatidentity_audit_commit_duration_seconds with the deadlines of the callers.",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "chatidentity_panics_total",
			Help: "Panics that were recovered from. When it moves: report the line of the log that has event call_failed.",
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
		m.limited.WithLabelValues(limit.String(), modeEnforce)
		m.limited.WithLabelValues(limit.String(), modeShadow)
	}
}

// limit returns the counter of a call that was over the limit, as its record names it.
func (m *metrics) limit(recorded string) prometheus.Counter {
	if limit, isShadow := strings.CutPrefix(recorded, shadowPrefix); isShadow {
		return m.limited.WithLabelValues(limit, modeShadow)
	}
	return m.limited.WithLabelValues(recorded, modeEnforce)
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
		m.limit(c.limit).Inc()
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
	both := func(o *prometheus.HistogramOpts) {
		o.Buckets = seconds
		o.NativeHistogramBucketFactor, o.NativeHistogramMaxBucketNumber = nativeFactor, nativeBuckets
		o.NativeHistogramMinResetDuration = time.Hour
	}
	return grpcprom.NewServerMetrics(grpcprom.WithServerHandlingTimeHistogram(both))
}
