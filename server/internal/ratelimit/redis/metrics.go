package redis

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Native histograms stand beside the classic buckets: within 10 %, in at most so many buckets.
const (
	nativeFactor  = 1.1
	nativeBuckets = 100
)

var (
	upDesc = prometheus.NewDesc("chatidentity_ratelimit_redis_up",
		"1 while rate limits are shared through Redis, 0 while it does not answer. "+
			"When it moves: look for event outage_began of part limiter in the log.", nil, nil)
	changesDesc = prometheus.NewDesc("chatidentity_ratelimit_redis_changes_total",
		"How often Redis started to answer, or stopped. When it moves: a Redis that comes and goes is slow "+
			"or far away.", []string{"to"}, nil)
)

// metrics counts the decisions that did not ask Redis, by why not, and measures how long the others
// waited for it.
type metrics struct {
	skipped                           *prometheus.CounterVec
	remembered, fallback, unavailable prometheus.Counter
	seconds                           *prometheus.HistogramVec
	answered, failed                  prometheus.Observer
}

func newMetrics() *metrics {
	skipped := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "chatidentity_ratelimit_redis_decisions_without_total",
		Help: "Decisions on shared limits made without Redis: refused by what is remembered of its answers, " +
			"made locally because it did not answer, or not made for that reason. " +
			"When it moves: fallback and unavailable tell that Redis fails.",
	}, []string{"why"})
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "chatidentity_ratelimit_redis_duration_seconds",
		Help: "How long decisions waited for Redis. When it moves: near --limit-redis-timeout, calls are decided without it.",

		Buckets:                         []float64{.00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1},
		NativeHistogramBucketFactor:     nativeFactor,
		NativeHistogramMaxBucketNumber:  nativeBuckets,
		NativeHistogramMinResetDuration: time.Hour,
	}, []string{"outcome"})
	return &metrics{
		skipped:     skipped,
		remembered:  skipped.WithLabelValues("remembered"),
		fallback:    skipped.WithLabelValues("fallback"),
		unavailable: skipped.WithLabelValues("unavailable"),
		seconds:     seconds,
		answered:    seconds.WithLabelValues("answered"),
		failed:      seconds.WithLabelValues("failed"),
	}
}

// Describe implements [prometheus.Collector].
func (l *Limiter) Describe(ch chan<- *prometheus.Desc) {
	l.local.Describe(ch)
	l.metrics.skipped.Describe(ch)
	l.metrics.seconds.Describe(ch)
	ch <- upDesc
	ch <- changesDesc
}

// Collect implements [prometheus.Collector]. It includes the metrics of the local budgets, which
// must not be registered as well.
func (l *Limiter) Collect(ch chan<- prometheus.Metric) {
	l.local.Collect(ch)
	l.metrics.skipped.Collect(ch)
	l.metrics.seconds.Collect(ch)
	isUp := 0.0
	if l.breaker.is(up) {
		isUp = 1
	}
	ch <- prometheus.MustNewConstMetric(upDesc, prometheus.GaugeValue, isUp)
	for to, name := range map[state]string{up: "up", down: "down"} {
		ch <- prometheus.MustNewConstMetric(changesDesc, prometheus.CounterValue, float64(l.breaker.changes[to].Load()), name)
	}
}
