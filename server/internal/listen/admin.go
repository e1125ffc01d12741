package listen

import "net"

// Bounds of the admin listener, which may be open to the pod network.
const (
	maxAdminConnections     = 256
	maxAdminConnectionsEach = 32 // of one remote host
)

// boundListener closes at once each connection beyond the bounds, so that its client learns of it
// instead of waiting in a queue.
type boundListener struct {
	net.Listener
	places   *connLimiter
	mostEach int
}

func newBoundListener(inner net.Listener, most, mostEach int) *boundListener {
	return &boundListener{inner, &connLimiter{most: most}, mostEach}
}

func (l *boundListener) Accept() (net.Conn, error) {
	for {
		accepted, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if release := l.places.acquire(hostOf(accepted.RemoteAddr().String()), l.mostEach); release != nil {
			return &placedConn{accepted, release}, nil
		}
		_ = accepted.Close()
	}
}

// placedConn gives its place back when it closes.
type placedConn struct {
	net.Conn
	release func()
}

func (c *placedConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}
