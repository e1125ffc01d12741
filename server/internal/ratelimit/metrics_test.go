package ratelimit

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
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
			label := metric.GetLabel()[0]
			fmt.Fprintf(&text, "%s{%s=%q} %v\n", family.GetName(), label.GetName(), label.GetValue(), metric.GetCounter().GetValue())
		}
	}
	return text.String()
}

func TestMetricsOfEvictions(t *testing.T) {
	t.Parallel()
	local := newTestLocal(ways)
	for i := range ways + 3 {
		call := budgetsFor(i, Rate{}, Rate{}, mustRate(t, "1/h"))
		local.takeAt(0, &call)
	}
	text := gather(t, local)
	if !strings.Contains(text, `chatidentity_ratelimit_evictions_total{limit="customer"} 3`+"\n") {
		t.Errorf("three evictions are missing:\n%s", text)
	}
	if series := strings.Count(text, "\n"); series != len(Limits()) {
		t.Errorf("%d series, want one for each limit:\n%s", series, text)
	}
}
