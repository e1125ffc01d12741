package listen

import (
	"net"
)

// maxAdminConnections bounds the admin listener, which may be open to the pod network.
const maxAdminConnections = 64

// adminListener bounds its connections: the oldest of the host that has the most gives way to a
// newcomer, so that a probe is answered whoever else connects.
type adminListener struct {
	*spared

	places places
}

func newAdminListener(inner net.Listener, most int, refused func(Refusal)) *adminListener {
	return &adminListener{newSpared(inner, refused), places{most: most, mostEach: most}}
}

func (l *adminListener) Accept() (net.Conn, error) {
	accepted, err := l.spared.Accept()
	if err != nil {
		return nil, err
	}
	c := &adminConn{accepted, &l.places, hostOf(accepted.RemoteAddr())}
	if victim, _ := l.places.enter(c.host, c); victim != nil {
		l.refused(Refusal{kindAdminPlaces, victim.RemoteAddr().String(), reasons[kindAdminPlaces]})
		_ = victim.Close()
	}
	return c, nil
}

// adminConn gives its place back when it closes.
type adminConn struct {
	net.Conn

	places *places
	host   string
}

func (c *adminConn) Close() error {
	c.places.leave(c.host, c)
	return c.Conn.Close()
}
