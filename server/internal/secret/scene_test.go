package secret_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/kustomer"
	"github.com/chatidentity/chatidentity/server/internal/secret"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

// vendor answers at once, or after a while, and notes when it was asked. Time is that of synctest's
// bubble.
type vendor struct {
	mu       sync.Mutex
	secret   string
	err      error
	ahead    time.Duration // of its clock
	cached   bool
	takes    time.Duration
	asked    []time.Time
	inFlight int
	most     int
	system   *systemClock
}

func (v *vendor) Settings(context.Context) (kustomer.Settings, error) {
	v.mu.Lock()
	v.asked = append(v.asked, time.Now())
	v.inFlight++
	v.most = max(v.most, v.inFlight)
	takes := v.takes
	v.mu.Unlock()
	<-time.After(takes)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.inFlight--
	if v.err != nil {
		return kustomer.Settings{}, v.err
	}
	ahead := v.ahead - v.system.offset()
	clock := kustomer.Clock{Known: !v.cached, Least: ahead - time.Second, Most: ahead}
	return kustomer.Settings{Secret: sensitive.New(v.secret), Clock: clock}, nil
}

func (v *vendor) set(change func(v *vendor)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	change(v)
}

func (v *vendor) times() []time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return append([]time.Time(nil), v.asked...)
}

// systemClock is a wall clock that can be set, beside the bubble's own, which is the monotonic one.
type systemClock struct {
	mu   sync.Mutex
	step time.Duration
}

func (c *systemClock) Now() time.Time { return time.Now().Add(c.offset()).Round(0) }

func (c *systemClock) offset() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.step
}

func (c *systemClock) set(step time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.step = step
}

// scene is a running store of the API source in a bubble.
type scene struct {
	*testing.T

	store  *secret.Store
	vendor *vendor
	clock  *systemClock
	log    *logbook
}

// play runs a scene in a bubble of its own.
func play(t *testing.T, api secret.API, prepare func(*vendor), act func(s scene)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := scene{T: t, clock: &systemClock{}, log: &logbook{}}
		s.vendor = &vendor{secret: firstSecret, system: s.clock}
		if prepare != nil {
			prepare(s.vendor)
		}
		options := secret.Options{Organization: "acme", Now: s.clock.Now, Logger: slog.New(slog.NewTextHandler(s.log, nil))}
		api.Client = s.vendor
		store, err := secret.Open(options, secret.Source{API: &api})
		check(t, err)
		s.store = store
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { secret.Run(ctx, s.store) })
		act(s)
		cancel()
		running.Wait()
		if s.vendor.most > 1 {
			t.Errorf("%d requests were in flight at once", s.vendor.most)
		}
		s.log.assertNoCanary(t)
	})
}

// pass lets time go by and everything due happen.
func (s scene) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (s scene) wantSecret(want string) {
	s.Helper()
	if current, err := s.store.Current(); err != nil || current.Value.Reveal() != want {
		s.Errorf("Current() = %v, %v; want another secret", current, err)
	}
}

func (s scene) wantUnavailable(reason string) {
	s.Helper()
	current, err := s.store.Current()
	if !errors.Is(err, secret.ErrUnavailable) || !strings.Contains(err.Error(), reason) || !current.Value.IsEmpty() {
		s.Errorf("Current() = %v, %v; want ErrUnavailable with %q", current, err, reason)
	}
	if ready := s.store.Ready(); !errors.Is(ready, secret.ErrUnavailable) {
		s.Errorf("Ready() = %v, want ErrUnavailable", ready)
	}
}

// logbook is a log's text.
type logbook struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logbook) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logbook) count(text string) int { return strings.Count(l.String(), text) }

func (l *logbook) assertNoCanary(t *testing.T) {
	t.Helper()
	for _, leak := range []string{"canary", fmt.Sprintf("%x", "canary")} {
		if strings.Contains(strings.ToLower(l.String()), leak) {
			t.Errorf("the log shows a value: %s", l)
		}
	}
}
