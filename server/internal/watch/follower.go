package watch

import (
	"context"
	"errors"
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
	// wantingPoll is how often they are read while a required one has never been good, or is rejected
	// because of another that it names: the app waits, perhaps for a directory that cannot be watched
	// before it is there.
	wantingPoll = time.Second
)

// Follower keeps values current: one loop for all, which reads the files when something changes in
// their directories, every 10 s, and when Wake asks for it. Values may come and go while it runs.
type Follower struct {
	log     *slog.Logger
	reloads *prometheus.CounterVec
	poll    time.Duration
	wake    chan struct{} // holds at most one request to look now
	whole   chan struct{} // closed once nothing is wanting

	mu    sync.Mutex
	all   []*files        // replaced, never changed in place
	asked []chan struct{} // by Look, before the next look begins
}

// NewFollower returns a follower of nothing yet.
func NewFollower(log *slog.Logger) *Follower {
	return &Follower{
		log:     log,
		reloads: newReloads(),
		poll:    defaultPoll,
		wake:    make(chan struct{}, 1),
		whole:   make(chan struct{}),
	}
}

// Wanting returns what is wrong with required files that have not been good yet, a line each. Once
// it has returned nil it does so for good: whatever happens to a file, its last good version stays.
func (f *Follower) Wanting() error {
	var all []error
	for _, one := range f.followed() {
		if one.required && !one.good.Load() {
			all = append(all, one.problem())
		}
	}
	return errors.Join(all...)
}

// Wrong returns what is wrong with any of the files now, a line each.
func (f *Follower) Wrong() error {
	followed := f.followed()
	all := make([]error, len(followed))
	for i, one := range followed {
		all[i] = one.problem()
	}
	return errors.Join(all...)
}

// Whole returns a channel that is closed once Run has found that nothing is wanting.
func (f *Follower) Whole() <-chan struct{} { return f.whole }

// Wake asks for a look at all files now, and returns at once.
func (f *Follower) Wake() {
	select {
	case f.wake <- struct{}{}:
	default: // one is waiting already
	}
}

// Look asks for a look at all files now. The channel is closed after one that found nothing still
// being written.
func (f *Follower) Look() <-chan struct{} {
	looked := make(chan struct{})
	f.mu.Lock()
	f.asked = append(f.asked, looked)
	f.mu.Unlock()
	f.Wake()
	return looked
}

// answer looks, and tells those who asked for it before. It reports whether to look again soon.
func (f *Follower) answer() bool {
	f.mu.Lock()
	asked := f.asked
	f.asked = nil
	f.mu.Unlock()
	soon := f.look()
	if soon {
		f.mu.Lock()
		f.asked = append(f.asked, asked...)
		f.mu.Unlock()
		return true
	}
	for _, looked := range asked {
		close(looked)
	}
	return false
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
			soon = f.answer()
			next.Reset(f.pause(soon, f.Wanting() == nil))
		}
	}
}

// pause returns how long to wait for the next look. whole says that nothing is wanting.
func (f *Follower) pause(soon, whole bool) time.Duration {
	select {
	case <-f.whole:
	default:
		if whole {
			close(f.whole)
		}
	}
	switch {
	case soon:
		return settle
	case whole && !f.awaits():
		return f.poll
	default:
		return min(f.poll, wantingPoll)
	}
}

// awaits reports whether any of the files are rejected because of others that they name.
func (f *Follower) awaits() bool {
	return slices.ContainsFunc(f.followed(), func(one *files) bool { return len(one.named) > 0 })
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
			f.log.Info("reloaded", "event", "file_reloaded", "setting", one.setting)
			f.reloads.WithLabelValues(one.kind, resultOK).Inc()
		case rejected:
			message := "reload rejected, keeping the last good version"
			if !one.good.Load() {
				message = "reload rejected, there is no good version yet"
			}
			f.log.Warn(message, "event", "file_rejected", "setting", one.setting, "error", err.Error())
			f.reloads.WithLabelValues(one.kind, resultError).Inc()
		case unsettled:
			again = true
		case unchanged:
		}
		again = again || one.isDue()
	}
	return again
}

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
