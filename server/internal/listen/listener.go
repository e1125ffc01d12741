package listen

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/chatidentity/chatidentity/server/internal/caller"
)

// Bounds of a listener for grpc.
const (
	maxConnections     = 1024
	maxConnectionsEach = 256 // of one user ID or certificate
	maxStrangers       = 64  // connections that have not proven anything yet
	// strangerTimeout is how long a connection may take to prove who it is.
	strangerTimeout = 2 * time.Second
	// strangerPace is how many strangers a second may give way to newcomers. Beyond it the listener
	// waits, which costs whoever connects so often and leaves the processor to the calls. A newcomer
	// waits behind those who came before it: 1,024 of them take half a second.
	strangerPace  = 2000
	strangerBurst = 8 // few: who has just come must not have to give way before it is heard
	// tendEvery is how often a listener looks after its connections.
	tendEvery = time.Second
)

// Listener accepts connections of callers that can be named, up to a bound. Whoever has proven who it
// is has a place that strangers cannot take; among strangers, and among the idle connections of a
// caller that has too many, the oldest gives way to a newcomer. Its connections need Credentials.
type Listener struct {
	*inlet

	options   Options
	accepting *spared
	pace      *rate.Limiter
	turns     turns
	secured   bool // its connections speak TLS
	strangers places
	known     places
	closing   sync.Once
	closed    chan struct{}
}

// newListener wraps an inlet. On loopback and on a unix socket nothing leaves the machine: they speak
// plain text.
func newListener(from *inlet, options Options) *Listener {
	l := &Listener{
		inlet:     from,
		options:   options,
		accepting: newSpared(from, options.Refused),
		pace:      rate.NewLimiter(strangerPace, strangerBurst),
		turns:     newTurns(),
		strangers: places{most: maxStrangers, mostEach: maxStrangers, spared: isHeard},
		known:     places{most: maxConnections, mostEach: maxConnectionsEach, spared: isBusy, strict: true},
		closed:    make(chan struct{}),
	}
	if address, isTCP := from.Addr().(*net.TCPAddr); isTCP {
		l.secured = options.TLS != nil && !address.IP.IsLoopback()
		if !l.secured { // one caller has all of it
			l.known.mostEach = maxConnections
		}
	}
	go l.tend()
	return l
}

// Accept returns the next connection that is admitted.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		l.turns.wait(l.closed) // a newcomer is no sooner accepted than its handshake can begin
		accepted, err := l.accepting.Accept()
		if err != nil {
			return nil, err
		}
		identity, err := caller.FromConn(accepted)
		if err != nil {
			l.options.Refused(Refusal{kindCaller, accepted.RemoteAddr().String(), err})
			_ = accepted.Close()
			continue
		}
		if c := newConn(accepted, l, identity); c.enter() {
			return c, nil
		}
	}
}

// Live returns nil while callers can connect: nobody has removed or replaced the socket.
func (l *Listener) Live() error { return l.lost() }

// Close ends the listener; its connections stay.
func (l *Listener) Close() error {
	l.closing.Do(func() { close(l.closed) })
	return l.accepting.Close()
}

// CloseConnections closes all connections at once, in the middle of a handshake or call too.
func (l *Listener) CloseConnections() {
	for _, c := range l.connections() {
		_ = c.Close()
	}
}

func (l *Listener) connections() []*conn {
	var all []*conn
	for _, set := range []*places{&l.strangers, &l.known} {
		for _, member := range set.all() {
			all = append(all, member.(*conn)) //nolint:forcetypeassert // enter puts in no other
		}
	}
	return all
}

// tend ends calls that take too long, and makes a lost socket anew, until the listener closes.
func (l *Listener) tend() {
	tick := time.NewTicker(tendEvery)
	defer tick.Stop()
	for {
		select {
		case <-l.closed:
			return
		case <-tick.C:
		}
		l.mend(context.Background())
		for _, c := range l.connections() {
			if traffic := c.traffic.Load(); traffic != nil {
				traffic.endLateCalls()
			}
		}
	}
}

func (l *Listener) refuse(kind, peer string) {
	l.options.Refused(Refusal{kind, peer, reasons[kind]})
}

// NewCollector returns the metric of the listeners' open connections.
func NewCollector(listeners ...*Listener) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "chatidentity_connections",
		Help: "Open connections of callers. When it moves: near 1,024 a listener, the oldest idle one gives way.",
	}, func() float64 {
		open := 0
		for _, listener := range listeners {
			open += listener.strangers.count() + listener.known.count()
		}
		return float64(open)
	})
}

// NewCertificateCollector returns the metric of when the listeners' certificate expires.
func NewCertificateCollector(current func() *caller.TLS) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "chatidentity_tls_certificate_expiry_timestamp_seconds",
		Help: "When the certificate that listeners outside loopback show expires, in seconds since 1970. " +
			"When it moves: it should jump ahead at each renewal; once it is past, no client can connect.",
	}, func() float64 { return float64(current().ExpireTime().Unix()) })
}
