package idtoken

import (
	"context"
	"crypto"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	// minGap is the least time between two loads of an issuer's keys, however many
	// tokens name keys that are not known.
	minGap = 5 * time.Second
	// freshFor is how long keys are used without a look for new ones. From then on
	// they are loaded in the background; from twice as long on, a call waits.
	freshFor = 5 * time.Minute
	// maxStale is how long the last good keys are used when no load succeeds.
	maxStale = 24 * time.Hour
	// loadTimeout bounds one load.
	loadTimeout = 5 * time.Second
)

// keyStore is the keys of one issuer, loaded when calls need them.
type keyStore struct {
	source source
	now    func() time.Time
	log    *slog.Logger
	flight singleflight.Group
	state  atomic.Pointer[keyState]
}

// keyState is immutable: a new one takes its place.
type keyState struct {
	keys      keySet // nil: never loaded
	loadedAt  time.Time
	triedAt   time.Time
	lastError error // of the last try
}

func newKeyStore(issuer Issuer, options Options) (*keyStore, error) {
	s := &keyStore{source: newSource(issuer), now: options.Now, log: options.Logger.With("issuer", issuer.Issuer)}
	s.state.Store(&keyState{})
	if issuer.JWKSFile != "" {
		s.load(context.Background())
		if err := s.state.Load().lastError; err != nil {
			return nil, err
		}
	}
	return s, nil
}

// find returns the key that the token was signed with, after a look for new ones
// if it is not known.
func (s *keyStore) find(ctx context.Context, h header) (crypto.PublicKey, error) {
	state := s.state.Load()
	if err := s.freshen(ctx, state); err != nil {
		return nil, err
	}
	if key, found := s.usable().find(h); found {
		return key, nil
	}
	if err := s.reload(ctx); err != nil {
		return nil, err
	}
	keys := s.usable()
	key, found := keys.find(h)
	state = s.state.Load()
	switch {
	case found:
		return key, nil
	case keys == nil || state.lastError != nil: // the key may be a new one that could not be fetched
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, state.lastError)
	default:
		return nil, unproven("no key of the issuer has its kid and alg")
	}
}

// freshen looks for new keys when those that are there have become old.
func (s *keyStore) freshen(ctx context.Context, state *keyState) error {
	if state.keys == nil {
		return nil // find loads them
	}
	age := s.now().Sub(state.loadedAt)
	switch {
	case age < freshFor:
		return nil
	case age < 2*freshFor:
		if s.mayTry() {
			s.start(ctx)
		}
		return nil
	default:
		return s.reload(ctx)
	}
}

// usable returns the keys, none if they are too old.
func (s *keyStore) usable() keySet {
	state := s.state.Load()
	if s.now().Sub(state.loadedAt) > maxStale {
		return nil
	}
	return state.keys
}

func (s *keyStore) mayTry() bool {
	state := s.state.Load()
	return state.triedAt.IsZero() || s.now().Sub(state.triedAt) >= minGap
}

// reload waits for a load, its own or one that is under way, unless the last was
// a moment ago. What came of it is in the state.
func (s *keyStore) reload(ctx context.Context) error {
	if !s.mayTry() {
		return nil
	}
	select {
	case <-s.start(ctx):
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnavailable, context.Cause(ctx))
	}
}

// start begins a load that lasts as long as it takes, whichever call asked.
func (s *keyStore) start(ctx context.Context) <-chan singleflight.Result {
	ctx = context.WithoutCancel(ctx)
	return s.flight.DoChan("", func() (any, error) {
		if s.mayTry() { // the flight before this one may have just ended
			s.load(ctx)
		}
		return nil, nil // the state has it
	})
}

// load asks the source once. The last good keys stay when it fails.
func (s *keyStore) load(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	next := *s.state.Load()
	text, err := s.source.read(ctx)
	var keys keySet
	if err == nil {
		keys, err = parseKeys(text)
	}
	next.triedAt, next.lastError = s.now(), err
	if err == nil {
		next.keys, next.loadedAt = keys, next.triedAt
	} else {
		next.lastError = fmt.Errorf("%s: %w", s.source, err)
		s.log.Warn("the issuer's keys could not be loaded; the last good ones stay", "error", next.lastError.Error())
	}
	s.state.Store(&next)
}
