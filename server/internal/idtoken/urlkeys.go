package idtoken

import (
	"context"
	"crypto"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/chatidentity/chatidentity/server/internal/outage"
)

const (
	// minGap is the minimum time between two loads of an issuer's keys, however many tokens name
	// unknown keys.
	minGap = 5 * time.Second
	// freshFor is how long keys are used without checking for new ones. After that they are loaded
	// in the background, and after twice as long, a call waits for the load.
	freshFor = 5 * time.Minute
	// maxStale is how long the last good keys are used while no load succeeds.
	maxStale = 24 * time.Hour
	// loadTimeout is the time limit for one load.
	loadTimeout = 5 * time.Second
)

// urlKeys are an issuer's keys at a URL. They are loaded when calls need them.
type urlKeys struct {
	url    string
	client *http.Client
	now    func() time.Time
	outage *outage.Outage
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
	k := &urlKeys{url: issuer.JWKSURL, client: newClient(options.Transport), now: options.Now}
	k.state.Store(&keyState{})
	log := options.Logger.With("issuer", issuer.Issuer)
	k.outage = outage.New("jwks", log, func() error { return k.state.Load().lastError })
	return k
}

// find returns the key that a token was signed with. If it is not known, find loads the keys first.
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

// load fetches the keys, unless the last attempt was a moment ago. The error says why the keys may
// not be the current ones.
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

// freshen loads the keys again if they have become old.
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

// usable returns the keys, or none if they are too old.
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

// reload waits for a load, its own or one in progress, unless the last attempt was a moment ago.
// The result is in the state.
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

// start begins a load that does not end with the call that asked for it.
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
	}
	k.state.Store(&next)
	k.outage.Look()
}
