package rpc

import (
	"net"
	"sync"

	"github.com/chatidentity/chatidentity/server/internal/caller"
)

// listener accepts connections of callers that the kernel can name, up to a
// bound. One too many is closed at once, so that its client learns it within
// its deadline instead of waiting in a queue.
type listener struct {
	net.Listener
	secured bool // its connections speak TLS
	crowd   *crowd
	metrics *metrics
}

// newListener wraps a listener. Outside loopback it speaks TLS, if there is a
// certificate; on loopback and on a unix socket nothing leaves the machine.
func (s *Server) newListener(inner net.Listener) *listener {
	address, isTCP := inner.Addr().(*net.TCPAddr)
	secured := s.options.TLS != nil && isTCP && !address.IP.IsLoopback()
	return &listener{inner, secured, &crowd{most: maxConnections}, s.metrics}
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		accepted, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		identity, err := caller.FromConn(accepted)
		if err != nil {
			l.refuse(accepted, "caller_unknown")
			continue
		}
		leave, admitted := l.crowd.enter(crowdOf(identity))
		if !admitted {
			l.refuse(accepted, "connection_limit")
			continue
		}
		l.metrics.connections.Inc()
		return &conn{Conn: accepted, identity: identity, secured: l.secured, release: sync.OnceFunc(func() {
			leave()
			l.metrics.connections.Dec()
		})}, nil
	}
}

// crowdOf returns who shares a part of the connections, and how many that are.
// Everyone on loopback is one caller, who may have all.
func crowdOf(who caller.Identity) (string, int) {
	switch who.Kind {
	case caller.Loopback:
		return "", maxConnections
	case caller.UID:
		return who.Name, maxConnectionsEach
	default:
		return hostOf(who.Peer), maxConnectionsEach
	}
}

func (l *listener) refuse(accepted net.Conn, why string) {
	l.metrics.transportErrors.WithLabelValues(why).Inc()
	_ = accepted.Close()
}

// conn is a connection whose other end is known.
type conn struct {
	net.Conn
	identity caller.Identity
	secured  bool
	release  func()
}

func (c *conn) Close() error {
	defer c.release()
	return c.Conn.Close()
}
