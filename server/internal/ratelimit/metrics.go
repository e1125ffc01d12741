package ratelimit

import "github.com/prometheus/client_golang/prometheus"

var (
	evictionsDesc = prometheus.NewDesc("chatidentity_ratelimit_evictions_total",
		"Budgets forgotten while still in use, because the local store was full.", []string{"limit"}, nil)
	upDesc = prometheus.NewDesc("chatidentity_ratelimit_redis_up",
		"1 while rate limits are shared through Redis, 0 while it does not answer.", nil, nil)
	changesDesc = prometheus.NewDesc("chatidentity_ratelimit_redis_changes_total",
		"How often Redis began to answer, or stopped.", []string{"to"}, nil)
)

// Describe implements [prometheus.Collector].
func (l *Local) Describe(ch chan<- *prometheus.Desc) { ch <- evictionsDesc }

// Collect implements [prometheus.Collector].
func (l *Local) Collect(ch chan<- prometheus.Metric) {
	for _, limit := range Limits() {
		ch <- prometheus.MustNewConstMetric(evictionsDesc, prometheus.CounterValue, float64(l.Evictions(limit)), limit.String())
	}
}

// redisMetrics has the decisions that did not ask Redis, by why not, and how
// long those that did ask waited.
type redisMetrics struct {
	skipped                           *prometheus.CounterVec
	remembered, fallback, unavailable prometheus.Counter
	seconds                           *prometheus.HistogramVec
	answered, failed                  prometheus.Observer
}

func newRedisMetrics() *redisMetrics {
	skipped := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "chatidentity_ratelimit_redis_decisions_without_total",
		Help: "Decisions on shared limits that Redis had no part in: refused by what is remembered of its answers, " +
			"made locally because it did not answer, or not made for that reason.",
	}, []string{"why"})
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "chatidentity_ratelimit_redis_duration_seconds",
		Help:    "How long decisions waited for Redis.",
		Buckets: []float64{.00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1},
	}, []string{"outcome"})
	return &redisMetrics{
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
func (r *Redis) Describe(ch chan<- *prometheus.Desc) {
	r.local.Describe(ch)
	r.metrics.skipped.Describe(ch)
	r.metrics.seconds.Describe(ch)
	ch <- upDesc
	ch <- changesDesc
}

// Collect implements [prometheus.Collector]. It includes the metrics of the
// [Local], which must not be registered as well.
func (r *Redis) Collect(ch chan<- prometheus.Metric) {
	r.local.Collect(ch)
	r.metrics.skipped.Collect(ch)
	r.metrics.seconds.Collect(ch)
	isUp := 0.0
	if r.breaker.is(up) {
		isUp = 1
	}
	ch <- prometheus.MustNewConstMetric(upDesc, prometheus.GaugeValue, isUp)
	for to, name := range map[state]string{up: "up", down: "down"} {
		ch <- prometheus.MustNewConstMetric(changesDesc, prometheus.CounterValue, float64(r.breaker.changes[to].Load()), name)
	}
}
