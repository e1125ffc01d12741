package rpc

import (
	"net"
	"sync"
)

// crowd counts the open connections of a listener, in all and by whom, so that
// nobody takes the places of all others. The zero value admits nobody.
type crowd struct {
	most int

	mu    sync.Mutex
	total int
	by    map[string]int
}

// enter takes a place for who, who may have so many; leave gives it back, once.
func (c *crowd) enter(who string, mostEach int) (leave func(), admitted bool) { //nolint:nonamedreturns // two results that need a name
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.total >= c.most || c.by[who] >= mostEach {
		return nil, false
	}
	if c.by == nil {
		c.by = make(map[string]int)
	}
	c.total++
	c.by[who]++
	return func() { c.leave(who) }, true
}

func (c *crowd) leave(who string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total--
	if c.by[who]--; c.by[who] == 0 {
		delete(c.by, who)
	}
}

// Bound returns a listener with at most so many open connections, and so many of
// each remote host. One too many is closed at once.
func Bound(inner net.Listener, most, mostEach int) net.Listener {
	return &boundListener{inner, &crowd{most: most}, mostEach}
}

type boundListener struct {
	net.Listener
	crowd    *crowd
	mostEach int
}

func (l *boundListener) Accept() (net.Conn, error) {
	for {
		accepted, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if leave, admitted := l.crowd.enter(hostOf(accepted.RemoteAddr().String()), l.mostEach); admitted {
			return &conn{Conn: accepted, release: sync.OnceFunc(leave)}, nil
		}
		_ = accepted.Close()
	}
}

func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}
