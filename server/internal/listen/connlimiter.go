package listen

import (
	"net"
	"sync"
)

// connLimiter bounds the open connections of a listener, in all and by key, so that nobody can take
// all places of the others. The zero value admits none.
type connLimiter struct {
	most int

	mu    sync.Mutex
	total int
	byKey map[string]int
}

// acquire takes a place for the key, which may have mostEach of them. It returns nil if there is
// none; otherwise call the result to give the place back. Calling it again does nothing.
func (l *connLimiter) acquire(key string, mostEach int) func() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.total >= l.most || l.byKey[key] >= mostEach {
		return nil
	}
	if l.byKey == nil {
		l.byKey = make(map[string]int)
	}
	l.total++
	l.byKey[key]++
	return sync.OnceFunc(func() { l.release(key) })
}

func (l *connLimiter) release(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total--
	if l.byKey[key]--; l.byKey[key] == 0 {
		delete(l.byKey, key)
	}
}

func (l *connLimiter) open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total
}

func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}
