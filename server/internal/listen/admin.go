package listen

import (
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// maxAdminConnections bounds the admin listener, which may be open to the pod network.
const maxAdminConnections = 64

// adminListener bounds its connections: the oldest of the host that has the most gives way to a
// newcomer, first one whose request has not come whole. So a probe is answered whoever else connects,
// even from its own address.
type adminListener struct {
	*spared

	places places
	pace   *rate.Limiter
	peeked [4 << 10]byte // what isAsking looks at, one connection at a time
}

// adminPace is how many connections a second may give way. Whoever lets more of them do so makes the
// listener wait, not the calls.
const adminPace = 1000

func newAdminListener(inner net.Listener, most int, refused func(Refusal)) *adminListener {
	l := &adminListener{spared: newSpared(inner, refused), pace: rate.NewLimiter(adminPace, most)}
	l.places = places{most: most, mostEach: most, spared: l.isAsking}
	return l
}

func (l *adminListener) Accept() (net.Conn, error) {
	accepted, err := l.spared.Accept()
	if err != nil {
		return nil, err
	}
	c := &adminConn{Conn: accepted, places: &l.places, host: hostOf(accepted.RemoteAddr())}
	if victim, _ := l.places.enter(c.host, c); victim != nil {
		l.refused(Refusal{kindAdminPlaces, victim.RemoteAddr().String(), reasons[kindAdminPlaces]})
		_ = victim.Close()
		time.Sleep(l.pace.Reserve().Delay())
	}
	return c, nil
}

// adminConn gives its place back when it closes.
type adminConn struct {
	net.Conn

	places *places
	host   string
	head   atomic.Uint32 // how much of headEnd the server has read
}

// headEnd ends the head of a request, which has no body here.
const headEnd = "\r\n\r\n"

// Read notes whether a request has come whole.
func (c *adminConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.head.Store(findHeadEnd(c.head.Load(), p[:n]))
	return n, err
}

// isAsking reports whether a whole request has come over a connection, even if the server has not
// had the time to read it.
func (l *adminListener) isAsking(member net.Conn) bool {
	c, ok := member.(*adminConn)
	if !ok {
		return false
	}
	read := c.head.Load()
	return read == uint32(len(headEnd)) || findHeadEnd(read, peek(c.Conn, l.peeked[:])) == uint32(len(headEnd))
}

// findHeadEnd returns how much of headEnd has come, after so much of it and then p.
func findHeadEnd(found uint32, p []byte) uint32 {
	for _, b := range p {
		switch {
		case found == uint32(len(headEnd)):
			return found
		case b == headEnd[found]:
			found++
		case b == headEnd[0]:
			found = 1
		default:
			found = 0
		}
	}
	return found
}

func (c *adminConn) Close() error {
	c.places.leave(c.host, c)
	return c.Conn.Close()
}
