package rpc

import (
	"sync"
	"time"
)

// throttle lets one log line of a kind pass each second.
type throttle struct {
	now func() time.Time

	mu   sync.Mutex
	last map[string]time.Time // by kind, of which there must be few
}

func newThrottle(now func() time.Time) *throttle {
	return &throttle{now: now, last: map[string]time.Time{}}
}

// isDue reports whether a line of the kind may pass now.
func (t *throttle) isDue(kind string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	if last, found := t.last[kind]; found && now.Sub(last) < time.Second {
		return false
	}
	t.last[kind] = now
	return true
}
