package writer

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics have no labels: who called is in the records.
type metrics struct {
	records, dropped, timeouts, failures prometheus.Counter
	replaced, deleted                    prometheus.Counter
	copied, copyDropped                  prometheus.Counter
	commit, batch                        prometheus.Histogram
	available, free                      prometheus.Gauge
	waiting, waitingBytes, oldest        prometheus.Gauge
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
			// Within 10 %, beside the classic buckets.
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
		})
	}
	return &metrics{
		records: counter("records_total", "Audit records written, as durable as configured. When it moves: "+
			"it follows the calls; refusals in a flood share records."),
		dropped: counter("dropped_records_total", "Audit records lost because the sink did not take them. When it moves: "+
			"the trail has a gap, whose size the next record says; mend the sink."),
		timeouts: counter("timeouts_total", "Calls refused because their record was not durable in time. When it moves: "+
			"the disk or the reader of standard output is too slow."),
		failures: counter("write_failures_total", "Attempts to write a batch of audit records that failed. When it moves: "+
			"event outage_began of part audit in the log says why."),
		replaced: counter("file_replacements_total",
			"Times somebody else deleted or replaced the audit file, or changed its length, or changed its last record "+
				"while the sidecar was stopped. When it moves: find out who; records may have been removed."),
		deleted: counter("deleted_files_total", "Rotated audit files deleted because of --audit-max-files. When it moves: "+
			"their records are gone from the volume; event audit_file_deleted names each file and its last record."),
		copied: counter("copied_records_total", "Audit records copied to standard output, with --audit-copy. "+
			"When it moves: it follows chatidentity_audit_records_total."),
		copyDropped: counter("copy_dropped_records_total", "Audit records that are missing from the copy on standard "+
			"output, because its reader was too slow. "+
			"When it moves: the audit file has them; look after the reader of the log."),
		commit: histogram("commit_duration_seconds", "Time to write, and where configured sync, one batch of audit records. "+
			"When it moves: each token waits for one or two of these; a slow disk is the usual cause.",
			prometheus.ExponentialBuckets(10e-6, 4, 10)), // 10 µs to 2.6 s
		batch: histogram("batch_records", "Audit records in one batch. When it moves: "+
			"it grows with load and with the time of a commit.",
			prometheus.ExponentialBuckets(1, 2, 11)),
		available: gauge("available", "1 while the sink takes audit records, else 0. When it moves: "+
			"at 0 no token leaves in strict mode; /readyz says why."),
		free: gauge("free_bytes", "Free bytes on the file system of the audit file; of standard output, 0. "+
			"When it moves: below --audit-min-free, move rotated files away; when it is full no record can be written."),
		waiting: gauge("waiting_records", "Audit records that wait to be written. When it moves: "+
			"more than a batch or two means that the sink is slow or hangs."),
		waitingBytes: gauge("waiting_bytes", "Bytes of the audit records that wait. When it moves: "+
			"beyond 4 MiB further records are refused, and their tokens with them."),
		oldest: gauge("oldest_waiting_seconds", "How long the oldest audit record that is not durable has waited. "+
			"When it moves: beyond --audit-timeout the sink hangs, and no token leaves in strict mode."),
	}
}

func (m *metrics) each(do func(prometheus.Collector)) {
	for _, c := range []prometheus.Collector{
		m.records, m.dropped, m.timeouts, m.failures, m.replaced, m.deleted, m.copied, m.copyDropped,
		m.commit, m.batch, m.available, m.free, m.waiting, m.waitingBytes, m.oldest,
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
	records, size := l.queue.size()
	l.metrics.waiting.Set(float64(records))
	l.metrics.waitingBytes.Set(float64(size))
	l.metrics.oldest.Set(l.queue.waited().Seconds())
	l.metrics.each(func(c prometheus.Collector) { c.Collect(ch) })
}
