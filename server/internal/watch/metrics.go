package watch

import "github.com/prometheus/client_golang/prometheus"

// The results of a reload.
const (
	resultOK    = "ok"
	resultError = "error"
)

func newReloads() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "chatidentity_file_reloads_total",
		Help: "Changes of followed files, by kind of file and result: ok, or error for a change that was rejected. " +
			"When it moves: an error leaves the last good version in force; the log says what is wrong.",
	}, []string{"file", "result"})
}

var wrongFiles = prometheus.NewDesc("chatidentity_files_wrong",
	"Followed files that are missing or wrong now, by kind of file. "+
		"When it moves: mend the file that the log names; only a new audit key needs a restart.", []string{"file"}, nil)

// Describe implements prometheus.Collector.
func (f *Follower) Describe(ch chan<- *prometheus.Desc) {
	f.reloads.Describe(ch)
	ch <- wrongFiles
}

// Collect implements prometheus.Collector. A kind is exported as 0 once a value of it is followed.
func (f *Follower) Collect(ch chan<- prometheus.Metric) {
	wrong := map[string]int{}
	for _, one := range f.followed() {
		wrong[one.kind] += 0
		if one.problem() != nil {
			wrong[one.kind]++
		}
	}
	for kind, count := range wrong {
		ch <- prometheus.MustNewConstMetric(wrongFiles, prometheus.GaugeValue, float64(count), kind)
	}
	f.reloads.Collect(ch)
}
