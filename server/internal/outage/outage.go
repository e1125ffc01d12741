// Package outage announces outages: one line in the program log when something stops working, and
// one when it works again, however either is noticed.
package outage

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// The events of the lines.
const (
	Began = "outage_began"
	Ended = "outage_ended"
)

// Outage is one thing that can stop working. Its owner looks whenever the state may have changed,
// and Watch looks in between, because time alone changes some states: a secret becomes stale, a
// record has waited too long. It is safe for concurrent use.
type Outage struct {
	log   *slog.Logger
	state func() error

	mu    sync.Mutex
	began time.Time // zero: it works
}

// New returns an outage that has not begun. part says in the log what fails. state returns nil while
// it works, or why it does not; it must not block, nor look itself.
func New(part string, log *slog.Logger, state func() error) *Outage {
	return &Outage{log: log.With("part", part), state: state}
}

// Look announces a change since the last look.
func (o *Outage) Look() {
	o.mu.Lock()
	defer o.mu.Unlock()
	err := o.state()
	switch {
	case err != nil && o.began.IsZero():
		o.began = time.Now()
		o.log.Error("outage began", "event", Began, "error", err.Error())
	case err == nil && !o.began.IsZero():
		o.log.Info("outage ended", "event", Ended, "seconds", time.Since(o.began).Seconds())
		o.began = time.Time{}
	}
}

// watchEvery is how late a change may be announced that nobody else notices.
const watchEvery = time.Second

// Watch looks once a second at all that there are, until the context ends.
func Watch(ctx context.Context, all func() []*Outage) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			for _, one := range all() {
				one.Look()
			}
		}
	}
}
