package redis

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
)

// gather returns each metric as "name{labels} value". The registry checks what collectors promise.
func gather(t *testing.T, collector prometheus.Collector) string {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(collector)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			labels := make([]string, 0, 2)
			for _, label := range metric.GetLabel() {
				labels = append(labels, label.GetValue())
			}
			value := metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + float64(metric.GetHistogram().GetSampleCount())
			fmt.Fprintf(&text, "%s{%s} %v\n", family.GetName(), strings.Join(labels, ","), value)
		}
	}
	return text.String()
}

func TestMetricsOfRedis(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	r, _ := replica(t, s, func(o *Options) { o.Timeout = 100 * time.Millisecond })
	await(t, "the server to answer", func() bool { return r.breaker.is(up) })
	call := budgetsFor(1, ratelimit.Rate{}, ratelimit.Rate{}, ratelimit.MustRate("5/h"))
	admitted(t, r, 7, call) // five answered, two remembered
	s.signal(syscall.SIGSTOP)
	other := budgetsFor(2, ratelimit.Rate{}, ratelimit.Rate{}, ratelimit.MustRate("100/h"))
	admitted(t, r, tolerated+2, other) // three wait in vain, two are not even sent
	text := gather(t, r)
	for _, want := range []string{
		"chatidentity_ratelimit_evictions_total{caller} 0",
		"chatidentity_ratelimit_redis_changes_total{down} 1",
		"chatidentity_ratelimit_redis_changes_total{up} 1",
		"chatidentity_ratelimit_redis_decisions_without_total{fallback} 5",
		"chatidentity_ratelimit_redis_decisions_without_total{remembered} 2",
		"chatidentity_ratelimit_redis_decisions_without_total{unavailable} 0",
		"chatidentity_ratelimit_redis_duration_seconds{answered} 5",
		"chatidentity_ratelimit_redis_duration_seconds{failed} 3",
		"chatidentity_ratelimit_redis_up{} 0",
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("%s is missing:\n%s", want, text)
		}
	}
}
