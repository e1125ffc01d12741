package secret

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/kustomer"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

// Why a token cannot be issued. Errors wrap these with the reason.
var (
	ErrUnavailable = errors.New("no signing secret")
	ErrClockSkewed = errors.New("the clock differs from Kustomer's")
)

// previousFor is how long the secret before the last one is known: as long as a
// token that it signed can be within its 15 minutes.
const previousFor = 15 * time.Minute

// Options are what every Store is made of. The zero value is usable.
type Options struct {
	// Organization names the store in logs and metrics.
	Organization string
	// Setting names the flag, variable or policy entry that the secret comes from,
	// for errors at start.
	Setting string
	// Now is the wall clock; Kustomer's is compared with it. Nil: time.Now.
	Now func() time.Time
	// Elapsed is a clock that never steps, from any beginning: ages are taken from
	// it, so that a step of the wall clock changes none. Nil: the monotonic clock.
	Elapsed func() time.Duration
	// Random is uniform in [0, 1) and spreads refreshes. Nil: math/rand/v2.
	Random func() float64
	// Logger takes warnings. Nil: none are written.
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

// Store is the current signing secret of one organization. Reading is lock-free;
// Run keeps it current. A Store comes from NewStatic, NewFile or NewAPI.
type Store struct {
	options Options
	source  source
	plan    plan
	wake    chan struct{} // holds at most one request to refresh
	loaded  chan struct{} // closed once there is a secret
	results *results
	now     atomic.Pointer[state]

	// The loop's own:
	watch         clockWatch
	failureNotice notice
	clockNotice   notice
}

// source is where secrets come from.
type source interface {
	load(ctx context.Context) (value sensitive.String, clock kustomer.Clock, err error)
	// directory is what to watch for changes; empty: nothing.
	directory() string
	// String names the source in logs.
	String() string
}

// state is immutable: a new one takes its place.
type state struct {
	current  Secret
	previous Secret
	loadedAt time.Duration // of the last good load
	changed  time.Duration // when previous was replaced

	unavailable error // why there is no secret, or will be none when it is stale
	skewed      error
	clock       kustomer.Clock
}

// Current returns the secret to sign with. The error wraps ErrUnavailable. A call
// asks once and uses what it got throughout.
func (s *Store) Current() (Secret, error) {
	snapshot, err := s.Snapshot()
	return snapshot.Current, err
}

// Snapshot is what is known of the secrets at one moment.
type Snapshot struct {
	Current Secret
	// Previous is the secret before the last change, for 15 minutes from it.
	Previous Secret
	// HasPrevious says whether there is one.
	HasPrevious bool
}

// Snapshot returns the current and the previous secret together, for verifying.
// The error wraps ErrUnavailable.
func (s *Store) Snapshot() (Snapshot, error) {
	now := s.now.Load()
	if now.current.ID == "" {
		return Snapshot{}, now.unavailable
	}
	elapsed := s.options.Elapsed()
	if s.plan.maxStale > 0 && elapsed-now.loadedAt > s.plan.maxStale {
		return Snapshot{}, now.unavailable
	}
	snapshot := Snapshot{Current: now.current}
	if now.previous.ID != "" && elapsed-now.changed < previousFor {
		snapshot.Previous, snapshot.HasPrevious = now.previous, true
	}
	return snapshot, nil
}

// Skewed returns an error that wraps ErrClockSkewed while our clock is known to
// differ from Kustomer's by more than is allowed: tokens signed now would be
// refused. Only the API source knows.
func (s *Store) Skewed() error { return s.now.Load().skewed }

// Ready returns why no token can be issued now, nil if nothing is in the way.
func (s *Store) Ready() error {
	if _, err := s.Current(); err != nil {
		return err
	}
	return s.Skewed()
}

// Loaded returns a channel that is closed once there has been a secret.
func (s *Store) Loaded() <-chan struct{} { return s.loaded }

// Organization returns the name of the organization.
func (s *Store) Organization() string { return s.options.Organization }

// Refresh asks for a load as soon as the source may be asked, and returns at once.
// Requests that come before the load begins are one. What Kustomer asked for
// (Retry-After) and one attempt a second are kept all the same.
func (s *Store) Refresh() {
	select {
	case s.wake <- struct{}{}:
	default: // one is waiting already
	}
}

func newStore(options Options, from source, plan plan) *Store {
	options.setDefaults()
	s := &Store{
		options: options,
		source:  from,
		plan:    plan,
		wake:    make(chan struct{}, 1),
		loaded:  make(chan struct{}),
		results: newResults(),
		watch:   clockWatch{limit: plan.maxSkew},
	}
	s.now.Store(&state{unavailable: fmt.Errorf("%w yet: the first answer of %s is awaited", ErrUnavailable, from)})
	return s
}

// loadAtStart loads a source that must be right from the beginning.
func (s *Store) loadAtStart(fallbackSetting string) (*Store, error) {
	if err := s.attempt(context.Background()); err != nil {
		return nil, fmt.Errorf("%s: %w", cmp.Or(s.options.Setting, fallbackSetting), err)
	}
	return s, nil
}

// attempt loads once and takes over what came. Only one runs at a time.
func (s *Store) attempt(ctx context.Context) error {
	value, clock, err := s.source.load(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	next := *s.now.Load()
	if err == nil {
		err = s.accept(&next, value)
	}
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
		}
		s.options.Logger.Info("signing secret loaded", "source", s.source.String(),
			"secret_id", fresh.ID, "previous_secret_id", next.current.ID)
		for _, doubt := range Doubts(value) {
			s.options.Logger.Warn("the signing secret is doubtful: "+doubt, "secret_id", fresh.ID)
		}
		next.current = fresh
	}
	next.loadedAt = s.options.Elapsed()
	next.unavailable = s.stale(nil)
	s.failureNotice = notice{}
	return nil
}

// reject keeps the last good secret and notes why there is no newer one.
func (s *Store) reject(next *state, err error) {
	s.results.count(resultOf(err))
	if next.current.ID == "" {
		next.unavailable = fmt.Errorf("%w: %w", ErrUnavailable, err)
		return
	}
	next.unavailable = s.stale(err)
}

// warn says why an attempt failed, the same not more than once a minute.
func (s *Store) warn(err error) {
	if !s.failureNotice.due(err.Error(), s.options.Elapsed()) {
		return
	}
	now := s.now.Load()
	if now.current.ID == "" {
		s.options.Logger.Warn("no signing secret", "source", s.source.String(), "error", err.Error())
		return
	}
	s.options.Logger.Warn("the signing secret could not be refreshed; the last good one stays",
		"source", s.source.String(), "secret_id", now.current.ID,
		"age_seconds", (s.options.Elapsed() - now.loadedAt).Seconds(), "error", err.Error())
}

// stale is the error for when the secret has become too old.
func (s *Store) stale(cause error) error {
	if cause == nil {
		return fmt.Errorf("%w: the last one is older than --secret-max-stale (%s)", ErrUnavailable, s.plan.maxStale)
	}
	return fmt.Errorf("%w: the last one is older than --secret-max-stale (%s): %w", ErrUnavailable, s.plan.maxStale, cause)
}
