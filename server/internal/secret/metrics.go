package secret

import (
	"errors"
	"io/fs"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chatidentity/chatidentity/server/internal/kustomer"
	"github.com/chatidentity/chatidentity/server/internal/watch"
)

// The results of a load, in addition to the kinds of kustomer.Error.
const (
	resultOK         = "ok"
	resultEmpty      = "empty"
	resultTooLarge   = "too_large"
	resultMissing    = "missing"
	resultUnreadable = "unreadable"
)

// results count loads by result. The map itself never changes.
type results struct {
	counts map[string]*atomic.Uint64
}

func newResults() *results {
	counts := make(map[string]*atomic.Uint64)
	for _, result := range []string{resultOK, resultEmpty, resultTooLarge, resultMissing, resultUnreadable} {
		counts[result] = new(atomic.Uint64)
	}
	for _, kind := range kustomer.Kinds() {
		counts[string(kind)] = new(atomic.Uint64)
	}
	return &results{counts}
}

func (r *results) count(result string) { r.counts[result].Add(1) }

func resultOf(err error) string {
	if failure, ok := errors.AsType[*kustomer.Error](err); ok {
		return string(failure.Kind)
	}
	switch {
	case errors.Is(err, ErrEmpty), errors.Is(err, watch.ErrEmpty):
		return resultEmpty
	case errors.Is(err, ErrTooLarge), errors.Is(err, watch.ErrTooLarge):
		return resultTooLarge
	case errors.Is(err, fs.ErrNotExist):
		return resultMissing
	default:
		return resultUnreadable
	}
}

var (
	byOrganization = []string{"organization"}

	ageMetric = prometheus.NewDesc("chatidentity_secret_age_seconds",
		"Seconds since the signing secret was last read from its source. When it moves: "+
			"it should stay below --secret-refresh; beyond --secret-max-stale no token is signed.", byOrganization, nil)
	refreshMetric = prometheus.NewDesc("chatidentity_secret_refresh_total",
		"Reads of the signing secret from its source, by result; ok or why it failed. When it moves: "+
			"docs/troubleshooting.md says what each failure means.", append(byOrganization, "result"), nil)
	infoMetric = prometheus.NewDesc("chatidentity_secret_info",
		"1 for the fingerprint of the secret that tokens are signed with. When it moves: "+
			"the secret was changed; all replicas should show the same one soon.", append(byOrganization, "secret_id"), nil)
	availableMetric = prometheus.NewDesc("chatidentity_secret_available",
		"1 while there is a signing secret that is not too old, else 0. When it moves: "+
			"at 0 calls get SECRET_UNAVAILABLE; /readyz says why.", byOrganization, nil)
	changesMetric = prometheus.NewDesc("chatidentity_secret_changes_total",
		"Changes of the signing secret while this process ran. When it moves: "+
			"somebody rotated the secret; tokens signed before are refused from then on.", byOrganization, nil)
	sourceMetric = prometheus.NewDesc("chatidentity_secret_source_up",
		"1 if the last read of the signing secret from its source went well, else 0. When it moves: "+
			"at 0 the last good secret serves until it is too old.", byOrganization, nil)
	offsetMetric = prometheus.NewDesc("chatidentity_kustomer_clock_offset_seconds",
		"Kustomer's clock minus ours at the last fresh answer, good to about a second. When it moves: "+
			"set this machine's clock; beyond --max-clock-skew no token is signed.", byOrganization, nil)
)

// collector reports the stores' state at the time of the scrape.
type collector func() []*Store

// NewCollector returns the metrics of the stores that there are at the time of the scrape. Two
// stores of the same organization would export the same series twice, which a registry rejects.
func NewCollector(stores func() []*Store) prometheus.Collector { return collector(stores) }

// Describe sends the descriptions of all metrics.
func (collector) Describe(descriptions chan<- *prometheus.Desc) {
	for _, description := range []*prometheus.Desc{
		ageMetric, refreshMetric, infoMetric, availableMetric, offsetMetric, changesMetric, sourceMetric,
	} {
		descriptions <- description
	}
}

// Collect sends the metrics.
func (c collector) Collect(metrics chan<- prometheus.Metric) {
	for _, store := range c() {
		store.collect(metrics)
	}
}

func (s *Store) collect(metrics chan<- prometheus.Metric) {
	organization := s.options.Organization
	gauge := func(description *prometheus.Desc, value float64, labels ...string) {
		labels = append([]string{organization}, labels...)
		metrics <- prometheus.MustNewConstMetric(description, prometheus.GaugeValue, value, labels...)
	}
	now := s.now.Load()
	available := 0.0
	if current, err := s.Current(); err == nil {
		available = 1
		gauge(infoMetric, 1, current.ID)
	}
	gauge(availableMetric, available)
	if now.current.ID != "" && s.hasAge {
		gauge(ageMetric, (s.options.Elapsed() - now.loadedAt).Seconds())
	}
	up := 0.0
	if now.sourceUp {
		up = 1
	}
	gauge(sourceMetric, up)
	metrics <- prometheus.MustNewConstMetric(changesMetric, prometheus.CounterValue, float64(now.changes), organization)
	if now.clock.Known {
		gauge(offsetMetric, now.clock.Offset().Seconds())
	}
	for result, count := range s.results.counts {
		total := float64(count.Load())
		metrics <- prometheus.MustNewConstMetric(refreshMetric, prometheus.CounterValue, total, organization, result)
	}
}
