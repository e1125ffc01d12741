package listen

import (
	"errors"
	"net"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chatidentity/chatidentity/server/internal/caller"
)

// Bounds of a listener for grpc.
const (
	maxConnections     = 1024
	maxConnectionsEach = 256 // of one user ID or remote host
)

var errNoPlace = errors.New("too many connections are open")

// Why a connection is refused, as metrics and logs name it.
const (
	kindCaller    = "caller_unknown"
	kindPlaces    = "connection_limit"
	kindHandshake = "tls"
)

// Kinds returns every kind of Refusal.
func Kinds() []string { return []string{kindCaller, kindPlaces, kindHandshake} }

// Refusal describes a connection that was closed before a call could come.
type Refusal struct {
	Kind string // one of Kinds
	Peer string // the connection's other end
	Err  error  // the reason
}

// Listener accepts connections of callers that can be named, up to a bound. Each connection beyond
// it is closed at once, so that its client learns of it within its deadline instead of waiting in a
// queue. Its connections need Credentials.
type Listener struct {
	net.Listener
	options Options
	secured bool // its connections speak TLS
	places  connLimiter
}

// newListener wraps a listener. On loopback and on a unix socket nothing leaves the machine: they
// speak plain text.
func newListener(inner net.Listener, options Options) *Listener {
	if options.Refused == nil {
		options.Refused = func(Refusal) {}
	}
	address, isTCP := inner.Addr().(*net.TCPAddr)
	return &Listener{
		Listener: inner,
		options:  options,
		secured:  options.TLS != nil && isTCP && !address.IP.IsLoopback(),
		places:   connLimiter{most: maxConnections},
	}
}

// Accept returns the next connection that is admitted.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		accepted, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if admitted := l.admit(accepted); admitted != nil {
			return admitted, nil
		}
		_ = accepted.Close()
	}
}

// admit returns the connection with its place, or nil if it is refused.
func (l *Listener) admit(accepted net.Conn) net.Conn {
	identity, err := caller.FromConn(accepted)
	if err != nil {
		l.options.Refused(Refusal{kindCaller, accepted.RemoteAddr().String(), err})
		return nil
	}
	release := l.places.acquire(shareOf(identity))
	if release == nil {
		l.options.Refused(Refusal{kindPlaces, identity.Peer, errNoPlace})
		return nil
	}
	return &conn{placedConn{accepted, release}, l, identity}
}

// shareOf returns who shares a part of the places, and how many those are. Everyone on loopback is
// one caller, which may have all.
func shareOf(who caller.Identity) (string, int) {
	switch who.Kind {
	case caller.Loopback:
		return "", maxConnections
	case caller.UID:
		return who.Name, maxConnectionsEach
	default:
		return hostOf(who.Peer), maxConnectionsEach
	}
}

// conn is a connection whose other end is known.
type conn struct {
	placedConn
	listener *Listener
	identity caller.Identity
}

// NewCollector returns the metric of the listeners' open connections.
func NewCollector(listeners ...*Listener) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "chatidentity_connections", Help: "Open connections of callers.",
	}, func() float64 {
		open := 0
		for _, listener := range listeners {
			open += listener.places.open()
		}
		return float64(open)
	})
}

// NewCertificateCollector returns the metric of when the listeners' certificate expires.
func NewCertificateCollector(current func() *caller.TLS) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "chatidentity_tls_certificate_expiry_timestamp_seconds",
		Help: "When the certificate that listeners outside loopback show expires, in seconds since 1970.",
	}, func() float64 { return float64(current().ExpireTime().Unix()) })
}
