package writer

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics have no labels: who called is in the records.
type metrics struct {
	records, dropped, timeouts, failures prometheus.Counter
	replaced                             prometheus.Counter
	commit, batch                        prometheus.Histogram
	available, free                      prometheus.Gauge
}

func newMetrics() *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "chatidentity_audit_" + name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "chatidentity_audit_" + name, Help: help})
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "chatidentity_audit_" + name, Help: help, Buckets: buckets,
		})
	}
	return &metrics{
		records:  counter("records_total", "Audit records written, as durable as configured."),
		dropped:  counter("dropped_records_total", "Audit records lost because the sink did not take them."),
		timeouts: counter("timeouts_total", "Calls refused because their record was not durable in time."),
		failures: counter("write_failures_total", "Attempts to write a batch of audit records that failed."),
		replaced: counter("file_replacements_total",
			"Times the audit file was deleted, replaced or changed by somebody else."),
		commit: histogram("commit_duration_seconds", "Time to write, and where configured sync, one batch of audit records.",
			prometheus.ExponentialBuckets(10e-6, 4, 10)), // 10 µs to 2.6 s
		batch:     histogram("batch_records", "Audit records in one batch.", prometheus.ExponentialBuckets(1, 2, 11)),
		available: gauge("available", "1 while the sink takes audit records, else 0."),
		free:      gauge("free_bytes", "Free bytes on the file system of the audit file; of standard output, 0."),
	}
}

func (m *metrics) each(do func(prometheus.Collector)) {
	for _, c := range []prometheus.Collector{
		m.records, m.dropped, m.timeouts, m.failures, m.replaced, m.commit, m.batch, m.available, m.free,
	} {
		do(c)
	}
}

// Describe implements prometheus.Collector.
func (l *Log) Describe(ch chan<- *prometheus.Desc) {
	l.metrics.each(func(c prometheus.Collector) { c.Describe(ch) })
}

// Collect implements prometheus.Collector.
func (l *Log) Collect(ch chan<- prometheus.Metric) {
	available := 0.0
	if l.state() == nil {
		available = 1
	}
	l.metrics.available.Set(available)
	l.metrics.each(func(c prometheus.Collector) { c.Collect(ch) })
}
