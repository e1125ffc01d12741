package idtoken

import (
	"context"
	"crypto"
	"fmt"
	"log/slog"
	"net/http"
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

// urlKeys are an issuer's keys behind a URL, loaded when calls need them.
type urlKeys struct {
	url    string
	client *http.Client
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

func newURLKeys(issuer Issuer, options Options) *urlKeys {
	k := &urlKeys{url: issuer.JWKSURL, client: newClient(), now: options.Now, log: options.Logger.With("issuer", issuer.Issuer)}
	k.state.Store(&keyState{})
	return k
}

// find returns the key that the token was signed with, after a look for new ones if it is not known.
func (k *urlKeys) find(ctx context.Context, h header) (crypto.PublicKey, error) {
	if err := k.freshen(ctx); err != nil {
		return nil, err
	}
	if key, found := k.usable().find(h); found {
		return key, nil
	}
	if err := k.load(ctx); err != nil { // the key may be a new one that could not be fetched
		return nil, err
	}
	if key, found := k.usable().find(h); found {
		return key, nil
	}
	return nil, errUnknownKey
}

// load waits for a load, unless the last one was a moment ago, and returns why the keys are not the
// issuer's current ones.
func (k *urlKeys) load(ctx context.Context) error {
	if err := k.reload(ctx); err != nil {
		return err
	}
	if err := k.state.Load().lastError; err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

func (k *urlKeys) close() {}

// freshen looks for new keys when those that are there have become old.
func (k *urlKeys) freshen(ctx context.Context) error {
	state := k.state.Load()
	if state.keys == nil {
		return nil // find loads them
	}
	age := k.now().Sub(state.loadedAt)
	switch {
	case age < freshFor:
		return nil
	case age < 2*freshFor:
		if k.mayTry() {
			k.start(ctx)
		}
		return nil
	default:
		return k.reload(ctx)
	}
}

// usable returns the keys, none if they are too old.
func (k *urlKeys) usable() keySet {
	state := k.state.Load()
	if k.now().Sub(state.loadedAt) > maxStale {
		return nil
	}
	return state.keys
}

func (k *urlKeys) mayTry() bool {
	state := k.state.Load()
	return state.triedAt.IsZero() || k.now().Sub(state.triedAt) >= minGap
}

// reload waits for a load, its own or one that is under way, unless the last was
// a moment ago. What came of it is in the state.
func (k *urlKeys) reload(ctx context.Context) error {
	if !k.mayTry() {
		return nil
	}
	select {
	case <-k.start(ctx):
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnavailable, context.Cause(ctx))
	}
}

// start begins a load that lasts as long as it takes, whichever call asked.
func (k *urlKeys) start(ctx context.Context) <-chan singleflight.Result {
	ctx = context.WithoutCancel(ctx)
	return k.flight.DoChan("", func() (any, error) {
		if k.mayTry() { // the flight before this one may have just ended
			k.fetch(ctx)
		}
		return nil, nil // the state has it
	})
}

// fetch asks the issuer once. The last good keys stay when it fails.
func (k *urlKeys) fetch(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	next := *k.state.Load()
	text, err := k.get(ctx)
	var keys keySet
	if err == nil {
		keys, err = parseKeys(text)
	}
	next.triedAt, next.lastError = k.now(), err
	if err == nil {
		next.keys, next.loadedAt = keys, next.triedAt
	} else {
		next.lastError = fmt.Errorf("%s: %w", k.url, err)
		k.log.Warn("the issuer's keys could not be loaded; the last good ones stay", "error", next.lastError.Error())
	}
	k.state.Store(&next)
}
