package outage

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Whoever looks, and however often, each outage has one line for its begin and one for its end.
func TestEachOutageIsAnnouncedOnce(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	var state error
	o := New("disk", slog.New(slog.NewTextHandler(&log, nil)), func() error { return state })
	for range 3 {
		for _, state = range []error{nil, errors.New("full"), errors.New("still full"), nil} {
			for range 100 {
				o.Look()
			}
		}
	}
	for text, want := range map[string]int{"event=outage_began error=full": 3, "event=outage_ended": 3, "part=disk": 6, "still": 0} {
		if n := strings.Count(log.String(), text); n != want {
			t.Errorf("%d lines with %q, want %d:\n%s", n, text, want, &log)
		}
	}
}

// Two that notice the same change at once announce it once, and never in the wrong order.
func TestConcurrentLooksAnnounceOnce(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer // the outage's lock guards it
	var down atomic.Bool
	o := New("disk", slog.New(slog.NewTextHandler(&log, nil)), func() error {
		if down.Load() {
			return errors.New("full")
		}
		return nil
	})
	for _, now := range []bool{true, false, true} {
		down.Store(now)
		var looking sync.WaitGroup
		for range 50 {
			looking.Go(o.Look)
		}
		looking.Wait()
	}
	var events []string
	for line := range strings.Lines(log.String()) {
		_, event, _ := strings.Cut(line, "event=")
		event, _, _ = strings.Cut(strings.TrimSpace(event), " ")
		events = append(events, event)
	}
	if got := strings.Join(events, " "); got != "outage_began outage_ended outage_began" {
		t.Errorf("events: %s", got)
	}
}

// A state that only time changes is announced within a second.
func TestWatchNoticesWhatNobodyAsks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &book{}
		start := time.Now()
		stale := New("secret", slog.New(slog.NewTextHandler(log, nil)), func() error {
			if age := time.Since(start); age > time.Minute && age < time.Hour {
				return errors.New("too old")
			}
			return nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go Watch(ctx, func() []*Outage { return []*Outage{stale} })
		for _, want := range []struct {
			age   time.Duration
			event string
		}{{time.Minute + time.Second, Began}, {time.Hour + time.Second, Ended}} {
			<-time.After(time.Until(start.Add(want.age)))
			synctest.Wait()
			if !strings.Contains(log.String(), want.event) {
				t.Errorf("after %v: no %s:\n%s", want.age, want.event, log)
			}
		}
	})
}

// book is a log that is read while it is written.
type book struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *book) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(line)
}

func (b *book) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
