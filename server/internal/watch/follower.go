package watch

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// settle is how long after a change files are read, and how long they must then stay the same.
	settle = 50 * time.Millisecond
	// defaultPoll is how often files are read without an event: some changes cause none.
	defaultPoll = 10 * time.Second
)

// Follower keeps values current: one loop for all, which reads the files when something changes in
// their directories, every 10 s, and when Wake asks for it. Values may come and go while it runs.
type Follower struct {
	log     *slog.Logger
	reloads *prometheus.CounterVec
	poll    time.Duration
	wake    chan struct{} // holds at most one request to look now

	mu  sync.Mutex
	all []*files // replaced, never changed in place
}

// NewFollower returns a follower of nothing yet.
func NewFollower(log *slog.Logger) *Follower {
	return &Follower{
		log: log,
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "chatidentity_file_reloads_total",
			Help: "Changes of followed files, by kind of file and result: ok, or error for a change that was rejected.",
		}, []string{"file", "result"}),
		poll: defaultPoll,
		wake: make(chan struct{}, 1),
	}
}

// Collector returns the metric of reloads. A kind is exported as 0 once a value of it is followed.
func (f *Follower) Collector() prometheus.Collector { return f.reloads }

// Wake asks for a look at all files now, and returns at once.
func (f *Follower) Wake() {
	select {
	case f.wake <- struct{}{}:
	default: // one is waiting already
	}
}

// Run follows the files until the context ends. It is called once.
func (f *Follower) Run(ctx context.Context) {
	directories := newDirectories(f.log)
	defer directories.close()
	next := time.NewTimer(0)
	defer next.Stop()
	soon := true // the next look is due within the time to settle
	lookIn := func(pause time.Duration) {
		if !soon { // requests neither put it off nor cut the time to settle short
			soon = true
			next.Reset(pause)
		}
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
			lookIn(0)
		case event := <-directories.events:
			if concerns(event, f.followed()) {
				lookIn(settle)
			}
		case <-directories.errors: //nolint:errcheck // whatever it is, events may have been lost
			lookIn(settle)
		case <-next.C:
			directories.watch(f.followed())
			if soon = f.look(); soon {
				next.Reset(settle)
			} else {
				next.Reset(f.poll)
			}
		}
	}
}

// look reports whether to look again soon.
func (f *Follower) look() bool {
	again := false
	for _, one := range f.followed() {
		if !slices.Contains(f.followed(), one) { // removed by the reload of another
			continue
		}
		switch result, err := one.look(); result {
		case reloaded:
			f.log.Info("reloaded", "setting", one.setting)
			f.reloads.WithLabelValues(one.kind, resultOK).Inc()
		case rejected:
			message := "reload rejected, keeping the last good version"
			if !one.good {
				message = "reload rejected, there is no good version yet"
			}
			f.log.Warn(message, "setting", one.setting, "error", err.Error())
			f.reloads.WithLabelValues(one.kind, resultError).Inc()
		case unsettled:
			again = true
		case unchanged:
		}
	}
	return again
}

// The results of a reload.
const (
	resultOK    = "ok"
	resultError = "error"
)

func (f *Follower) followed() []*files {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.all
}

func (f *Follower) add(fresh *files) {
	for _, result := range []string{resultOK, resultError} {
		f.reloads.WithLabelValues(fresh.kind, result)
	}
	f.mu.Lock()
	f.all = append(slices.Clip(f.all), fresh)
	f.mu.Unlock()
	f.Wake() // its directory is not watched yet
}

func (f *Follower) remove(old *files) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = slices.DeleteFunc(slices.Clone(f.all), func(one *files) bool { return one == old })
}
