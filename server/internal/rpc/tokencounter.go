package rpc

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chatidentity/chatidentity/server/internal/customer"
)

type tokenLabels struct {
	organization string
	identifier   customer.Identifier
}

// tokenCounter counts tokens. It has the series of the organizations that there are at a scrape.
type tokenCounter struct {
	*prometheus.CounterVec

	organizations func() []string // their names now

	series   atomic.Pointer[map[tokenLabels]prometheus.Counter] // replaced, never changed: calls take no lock
	changing sync.Mutex
}

func (t *tokenCounter) of(labels tokenLabels) prometheus.Counter {
	if all := t.series.Load(); all != nil && (*all)[labels] != nil {
		return (*all)[labels]
	}
	counter := t.WithLabelValues(labels.organization, labels.identifier.String())
	t.change(func(all map[tokenLabels]prometheus.Counter) { all[labels] = counter })
	return counter
}

func (t *tokenCounter) change(change func(map[tokenLabels]prometheus.Counter)) {
	t.changing.Lock()
	defer t.changing.Unlock()
	changed := map[tokenLabels]prometheus.Counter{}
	if all := t.series.Load(); all != nil {
		maps.Copy(changed, *all)
	}
	change(changed)
	t.series.Store(&changed)
}

// Collect sends the metrics, those of a new organization as 0. A call that ends after its
// organization has gone may bring its series back for one scrape.
func (t *tokenCounter) Collect(metrics chan<- prometheus.Metric) {
	current := t.organizations()
	for _, name := range current {
		for _, identifier := range []customer.Identifier{customer.ExternalID, customer.Email} {
			t.of(tokenLabels{name, identifier})
		}
	}
	t.change(func(all map[tokenLabels]prometheus.Counter) {
		for labels := range all {
			if !slices.Contains(current, labels.organization) {
				delete(all, labels)
				t.DeleteLabelValues(labels.organization, labels.identifier.String())
			}
		}
	})
	t.CounterVec.Collect(metrics)
}
