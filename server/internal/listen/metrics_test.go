package listen

import (
	"maps"
	"net"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// gather returns the value of each metric by the value of its label, or "" without one.
func gather(t *testing.T, collector prometheus.Collector) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(collector)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			of := ""
			for _, label := range metric.GetLabel() {
				of = label.GetValue()
			}
			values[of] = metric.GetGauge().GetValue()
		}
	}
	return values
}

// The metrics show what is used of what connections share, as a part of it.
func TestBoundsShowWhatIsUsed(t *testing.T) {
	t.Parallel()
	bounds := NewBounds()
	first, _ := bounds.join("uid:1")
	second, _ := bounds.join("uid:2")
	newPortion(&first.calls).take(maxCalls / 4)
	newPortion(&second.bytes).take(maxHeldBytes / 2)
	newPortion(&second.streams).take(maxLongStreams)
	want := map[string]float64{"calls": 0.25, "bytes": 0.5, "streams": 1, "caller": 0, "strangers": 0}
	if got := gather(t, bounds); !maps.Equal(got, want) {
		t.Errorf("%v is used, want %v", got, want)
	}
	first.spend(callerFrames * 2)
	second.spend(callerFrames / 2)
	if got := gather(t, bounds); got["caller"] <= 1 || got["caller"] > 2 || got["strangers"] != 0 {
		t.Errorf("%v is used, want almost 2 by the caller that has used most", got)
	}
}

func TestOpenConnectionsAreCounted(t *testing.T) {
	t.Parallel()
	one := &Listener{strangers: places{most: 9, mostEach: 9}, known: places{most: 9, mostEach: 9}}
	other := &Listener{known: places{most: 9, mostEach: 9}}
	for set, connections := range map[*places]int{&one.strangers: 3, &one.known: 2, &other.known: 7} {
		for range connections {
			set.enter("a", &net.TCPConn{})
		}
	}
	if open := gather(t, NewCollector(one, other))[""]; open != 12 {
		t.Errorf("%v connections are open, want 12", open)
	}
}
