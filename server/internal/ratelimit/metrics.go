package ratelimit

import "github.com/prometheus/client_golang/prometheus"

var evictionsDesc = prometheus.NewDesc("chatidentity_ratelimit_evictions_total",
	"Budgets forgotten while still in use, because the local store was full. "+
		"When it moves: more customers than the store holds call at once, or somebody floods with made-up ones.",
	[]string{"limit"}, nil)

// Describe implements [prometheus.Collector].
func (l *Local) Describe(ch chan<- *prometheus.Desc) { ch <- evictionsDesc }

// Collect implements [prometheus.Collector].
func (l *Local) Collect(ch chan<- prometheus.Metric) {
	for _, limit := range Limits() {
		evictions := float64(l.Evictions(limit))
		ch <- prometheus.MustNewConstMetric(evictionsDesc, prometheus.CounterValue, evictions, limit.String())
	}
}
