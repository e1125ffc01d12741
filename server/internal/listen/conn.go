package listen

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/caller"
)

// conn is an accepted connection. It has a place among the strangers until it has proven who it is,
// then one of its caller.
type conn struct {
	net.Conn
	listener *Listener
	identity caller.Identity // as far as the kernel tells it
	traffic  atomic.Pointer[traffic]
	expiry   *time.Timer // of a stranger
	heard    atomic.Bool // it has sent something

	mu     sync.Mutex
	set    *places // nil: it has no place any more
	group  string
	closed bool
	leave  func() // gives up its part of the caller's allowance
	gone   chan struct{}
}

func newConn(accepted net.Conn, l *Listener, identity caller.Identity) *conn {
	return &conn{Conn: accepted, listener: l, identity: identity, gone: make(chan struct{})}
}

// isBusy reports whether calls are open on a connection.
func isBusy(member net.Conn) bool {
	c, ok := member.(*conn)
	if !ok {
		return false
	}
	t := c.traffic.Load()
	return t != nil && t.calls.held.Load() > 0
}

// isHeard reports whether a connection has sent anything, even if nobody has had the time to read it.
func isHeard(member net.Conn) bool {
	c, ok := member.(*conn)
	return ok && (c.heard.Load() || len(peek(c.Conn, make([]byte, 1))) > 0)
}

// Read notes that something came.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.hear()
	}
	return n, err
}

func (c *conn) hear() {
	if !c.heard.Load() {
		c.heard.Store(true)
	}
}

// enter takes a place; without one the connection is closed. A user that is listed has proven who it
// is: the kernel says so.
func (c *conn) enter() bool {
	if c.identity.Kind == caller.UID && !c.isStranger() {
		return c.settle(c.identity)
	}
	group := hostOf(c.RemoteAddr())
	if c.identity.Kind == caller.UID {
		c.listener.refuse(kindUnlisted, c.identity.String()+" "+c.identity.Peer)
		group = c.identity.Name
	}
	c.expiry = time.AfterFunc(strangerTimeout, c.expire)
	return c.move(&c.listener.strangers, group)
}

func (c *conn) isStranger() bool { return c.listener.options.IsStranger(c.identity) }

// settle gives the connection a place of its caller's own.
func (c *conn) settle(who caller.Identity) bool {
	if c.expiry != nil {
		c.expiry.Stop()
	}
	return c.move(&c.listener.known, who.String())
}

// move takes a place in a set, and gives back the one before. Whoever gives way is closed.
func (c *conn) move(to *places, group string) bool {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return false
	}
	victim, admitted := to.enter(group, c)
	if c.set != nil {
		c.set.leave(c.group, c)
	}
	c.set, c.group = nil, ""
	if admitted {
		c.set, c.group = to, group
	}
	c.mu.Unlock()
	if victim != nil {
		c.listener.refuse(kindPlaces, victim.(*conn).identity.Peer) //nolint:forcetypeassert // places hold no other
		_ = victim.Close()
		if to == &c.listener.strangers { // only Accept takes these places
			time.Sleep(c.listener.pace.Reserve().Delay())
		}
	}
	if !admitted {
		c.listener.refuse(kindPlaces, c.identity.Peer)
		_ = c.Close()
	}
	return admitted
}

// expire closes a connection that is still a stranger's.
func (c *conn) expire() {
	c.mu.Lock()
	unproven := c.set == &c.listener.strangers
	c.mu.Unlock()
	if unproven {
		c.listener.refuse(kindUnproven, c.identity.Peer)
		if t := c.traffic.Load(); t != nil { // a client that connects early and calls later
			t.sendAway(noError)
		}
		_ = c.Close()
	}
}

// follow returns what grpc reads from and writes to: the connection, after the handshake if there is
// one, with what passes through it counted as the caller's.
func (c *conn) follow(decrypted net.Conn, who caller.Identity) *traffic {
	of, leave := c.listener.options.Bounds.strangers, func() {}
	if !c.isStranger() {
		of, leave = c.listener.options.Bounds.join(who.String())
	}
	c.pause(who, of)
	t := newTraffic(decrypted, c.Conn, of, func(kind string) { c.listener.refuse(kind, c.identity.Peer) })
	c.mu.Lock()
	defer c.mu.Unlock()
	t.gone = c.gone
	c.leave = leave
	if c.closed {
		leave()
	}
	c.traffic.Store(t)
	return t
}

// pause makes whoever spent more idle frames than it has wait before its next connection begins.
// Everyone on loopback is one caller: there it would be the others who wait.
func (c *conn) pause(who caller.Identity, of *allowance) {
	if who.Kind == caller.Loopback {
		return
	}
	if debt := of.debt(); debt > 0 {
		c.listener.refuse(kindFrameBudget, c.identity.Peer)
		sleep(min(debt, maxFrameDebt), c.gone) // in the connection's own goroutine
	}
}

// Close gives the place back.
func (c *conn) Close() error {
	c.mu.Lock()
	if !c.closed {
		c.closed = true
		close(c.gone)
		if c.expiry != nil {
			c.expiry.Stop()
		}
		if c.set != nil {
			c.set.leave(c.group, c)
		}
		if c.leave != nil {
			c.leave()
		}
	}
	c.mu.Unlock()
	return c.Conn.Close()
}
