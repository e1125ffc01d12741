package listen

import (
	"github.com/prometheus/client_golang/prometheus"
)

var (
	sharedMetric = prometheus.NewDesc("chatidentity_shared_bound_used_ratio",
		"Used part of what all connections share, by bound: open calls, bytes of requests, streams of health and "+
			"reflection. When it moves: near 1, whoever has most is refused; the log names them.", []string{"bound"}, nil)
	framesMetric = prometheus.NewDesc("chatidentity_frame_budget_used_ratio",
		"Used part of the budget of idle frames: of the caller that has used most, and of all strangers. "+
			"When it moves: beyond 1 connections are slowed down, and then cut off.", []string{"of"}, nil)
)

// Describe implements prometheus.Collector.
func (*Bounds) Describe(ch chan<- *prometheus.Desc) {
	ch <- sharedMetric
	ch <- framesMetric
}

// Collect implements prometheus.Collector.
func (b *Bounds) Collect(ch chan<- prometheus.Metric) {
	for name, shared := range map[string]*pool{"calls": &b.calls, "bytes": &b.bytes, "streams": &b.streams} {
		used := float64(shared.used.Load()) / float64(shared.size)
		ch <- prometheus.MustNewConstMetric(sharedMetric, prometheus.GaugeValue, used, name)
	}
	ch <- prometheus.MustNewConstMetric(framesMetric, prometheus.GaugeValue, b.callerFramesUsed(), "caller")
	ch <- prometheus.MustNewConstMetric(framesMetric, prometheus.GaugeValue, b.strangers.framesUsed(), "strangers")
}

func (b *Bounds) callerFramesUsed() float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	most := 0.0
	for _, a := range b.callers {
		most = max(most, a.framesUsed())
	}
	return most
}

func (a *allowance) framesUsed() float64 {
	return max(0, 1-a.frames.Tokens()/float64(a.frames.Burst()))
}
