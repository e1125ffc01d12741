package ratelimit

import "github.com/prometheus/client_golang/prometheus"

var evictionsDesc = prometheus.NewDesc("chatidentity_ratelimit_evictions_total",
	"Budgets forgotten while still in use, because the local store was full.", []string{"limit"}, nil)

// Describe implements [prometheus.Collector].
func (l *Local) Describe(ch chan<- *prometheus.Desc) { ch <- evictionsDesc }

// Collect implements [prometheus.Collector].
func (l *Local) Collect(ch chan<- prometheus.Metric) {
	for _, limit := range Limits() {
		ch <- prometheus.MustNewConstMetric(evictionsDesc, prometheus.CounterValue, float64(l.Evictions(limit)), limit.String())
	}
}
