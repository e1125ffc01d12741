package secret

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/kustomer"
	"github.com/chatidentity/chatidentity/server/internal/outage"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
	"github.com/chatidentity/chatidentity/server/internal/watch"
)

// Why a token cannot be issued. Errors wrap these with the reason.
var (
	ErrUnavailable = errors.New("no signing secret")
	ErrClockSkewed = errors.New("the clock differs from Kustomer's")
)

// previousFor is how long the previous secret is remembered: as long as a token signed with it can
// still be valid.
const previousFor = 15 * time.Minute

// Options configure a Store. The zero value is usable.
type Options struct {
	// Organization names the store in logs and metrics.
	Organization string
	// Setting is the flag or policy entry that names a file, for the log.
	Setting string
	// Follower keeps a file's secret current. Nil: it is read once.
	Follower *watch.Follower
	// Asker keeps the secret current of a source that has to be asked. Nil: it is never asked.
	Asker *Asker
	// Now is the wall clock, which is compared with Kustomer's. Nil: time.Now.
	Now func() time.Time
	// Elapsed is a clock that never steps, with any origin. It measures ages, so a step of the wall
	// clock changes none of them. Nil: the monotonic clock.
	Elapsed func() time.Duration
	// Random is uniform in [0, 1) and spreads refreshes. Nil: math/rand/v2.
	Random func() float64
	// Logger receives warnings. Nil: nothing is logged.
	Logger *slog.Logger
}

func (o *Options) setDefaults() {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Elapsed == nil {
		start := time.Now()
		o.Elapsed = func() time.Duration { return time.Since(start) }
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Logger = o.Logger.With("organization", o.Organization)
}

// Store is the current signing secret of one organization. Reading is lock-free; the follower and
// the asker keep it current until Close. A Store comes from Open.
type Store struct {
	options  Options
	kind     string        // of the source
	source   string        // for people
	hasAge   bool          // the source is read again
	maxStale time.Duration // 0: a secret is never too old
	refresh  *refresh      // nil: nobody has to ask
	wake     chan struct{} // holds at most one request to refresh
	loaded   chan struct{} // closed once there is a secret
	release  func()        // lets go of what keeps the secret current
	results  *results
	now      atomic.Pointer[state]
	opened   time.Duration
	missing  *outage.Outage // there is no secret to sign with
	apart    *outage.Outage // the clocks are
	closed   atomic.Bool

	mu       sync.Mutex
	requests []chan error // of loads that have not begun

	// Only the goroutine that changes the state uses these, one at a time.
	clock         clockWatch
	failureNotice notice
	clockNotice   notice
}

// state is immutable: a new one takes its place.
type state struct {
	current  Secret
	previous Secret
	loadedAt time.Duration // of the last good load
	changed  time.Duration // when previous was replaced

	changes     int
	sourceUp    bool  // the last read of the source went well
	awaited     bool  // the first answer of the source
	unavailable error // why there is no secret, or will be none when it is stale
	skewed      error
	clock       kustomer.Clock
}

// Current returns the secret to sign with. The error wraps ErrUnavailable. A call should ask once
// and use the same secret throughout.
func (s *Store) Current() (Secret, error) {
	snapshot, err := s.Snapshot()
	return snapshot.Current, err
}

// Snapshot is the secrets at one moment.
type Snapshot struct {
	Current Secret
	// Previous is the secret before the last change, for 15 minutes after it.
	Previous Secret
	// HasPrevious says whether there is one.
	HasPrevious bool
}

// Snapshot returns the current and the previous secret together, for verifying. The error wraps
// ErrUnavailable.
func (s *Store) Snapshot() (Snapshot, error) {
	now := s.now.Load()
	if now.current.ID == "" {
		return Snapshot{}, now.unavailable
	}
	elapsed := s.options.Elapsed()
	if s.maxStale > 0 && elapsed-now.loadedAt > s.maxStale {
		return Snapshot{}, now.unavailable
	}
	snapshot := Snapshot{Current: now.current}
	if now.previous.ID != "" && elapsed-now.changed < previousFor {
		snapshot.Previous, snapshot.HasPrevious = now.previous, true
	}
	return snapshot, nil
}

// Skewed returns an error that wraps ErrClockSkewed while our clock is known to differ from
// Kustomer's by more than is allowed, so that Kustomer would refuse tokens signed now. Only the API
// source can tell.
func (s *Store) Skewed() error { return s.now.Load().skewed }

// Ready returns why no token can be issued now, or nil.
func (s *Store) Ready() error {
	if _, err := s.Current(); err != nil {
		s.missing.Look() // no call is refused before the outage is announced
		return err
	}
	return s.Skewed()
}

// Close ends the store's refreshing. Whoever still holds the store goes on with its last secret;
// nothing else leads to it any more.
func (s *Store) Close() {
	s.release()
	s.options.Logger.Info("signing secret no longer used", "event", "secret_released",
		"source", s.source, "secret_id", s.now.Load().current.ID)
	s.closed.Store(true)
	s.look()
}

// Outages are those of the secret and of the clock.
func (s *Store) Outages() []*outage.Outage { return []*outage.Outage{s.missing, s.apart} }

// firstAnswer is how long the first answer of a source may take before that counts as an outage.
const firstAnswer = time.Second

// isMissing is Current, except that a source that was asked a moment ago may yet answer.
func (s *Store) isMissing() error {
	_, err := s.Current()
	if s.closed.Load() || s.now.Load().awaited && s.options.Elapsed()-s.opened < firstAnswer {
		return nil
	}
	return err
}

// isApart is Skewed, until the store is closed.
func (s *Store) isApart() error {
	if s.closed.Load() {
		return nil
	}
	return s.Skewed()
}

func (s *Store) look() {
	s.missing.Look()
	s.apart.Look()
}

// Loaded returns a channel that is closed once there is a secret.
func (s *Store) Loaded() <-chan struct{} { return s.loaded }

// Organization returns the name of the organization.
func (s *Store) Organization() string { return s.options.Organization }

// Source describes for people where the secret comes from, such as the path of its file.
func (s *Store) Source() string { return s.source }

// IsReadAgain reports whether the store notices when the source's secret changes.
func (s *Store) IsReadAgain() bool { return s.hasAge }

// Kind returns the kind of the store's source, one of Kinds.
func (s *Store) Kind() string { return s.kind }

func newStore(options Options) *Store {
	options.setDefaults()
	s := &Store{
		options: options,
		wake:    make(chan struct{}, 1),
		loaded:  make(chan struct{}),
		release: func() {},
		results: newResults(),
	}
	s.now.Store(&state{awaited: true, unavailable: fmt.Errorf("%w yet: the first answer is awaited", ErrUnavailable)})
	s.opened = s.options.Elapsed()
	s.missing = outage.New("secret", s.options.Logger, s.isMissing)
	s.apart = outage.New("clock", s.options.Logger, s.isApart)
	return s
}

// take records the result of one read of the source: a secret and perhaps Kustomer's time, or an
// error. Only one goroutine at a time calls it.
func (s *Store) take(value sensitive.String, clock kustomer.Clock, err error) error {
	next := *s.now.Load()
	next.awaited = false
	if err == nil {
		err = s.accept(&next, value)
	}
	next.sourceUp = err == nil
	if err != nil {
		s.reject(&next, err)
	} else {
		s.observe(&next, clock)
		s.results.count(resultOK)
	}
	hadNone := s.now.Swap(&next).current.ID == ""
	if hadNone && next.current.ID != "" {
		close(s.loaded)
	}
	s.look()
	return err
}

// accept makes value the current secret.
func (s *Store) accept(next *state, value sensitive.String) error {
	if next.current.ID == "" || next.current.Value.Reveal() != value.Reveal() {
		fresh, err := New(value)
		if err != nil {
			return err
		}
		if next.current.ID != "" {
			next.previous, next.changed = next.current, s.options.Elapsed()
			next.changes++
		}
		s.options.Logger.Info("signing secret loaded", "event", "secret_loaded", "source", s.source,
			"secret_id", fresh.ID, "previous_secret_id", next.current.ID)
		for _, doubt := range Doubts(value) {
			s.options.Logger.Warn("the signing secret is doubtful: "+doubt, "event", "secret_doubtful", "secret_id", fresh.ID)
		}
		next.current = fresh
	}
	next.loadedAt = s.options.Elapsed()
	next.unavailable = s.stale(nil)
	return nil
}

// reject keeps the last good secret and records why there is no newer one.
func (s *Store) reject(next *state, err error) {
	s.results.count(resultOf(err))
	if next.current.ID == "" {
		next.unavailable = fmt.Errorf("%w: %w", ErrUnavailable, err)
		return
	}
	next.unavailable = s.stale(err)
}

// stale is the error to return once the secret is too old.
func (s *Store) stale(cause error) error {
	err := fmt.Errorf("%w: the last one is older than the maximum of %s", ErrUnavailable, s.maxStale)
	if cause != nil {
		err = fmt.Errorf("%w: %w", err, cause)
	}
	return err
}
