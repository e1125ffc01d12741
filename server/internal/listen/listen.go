// Package listen is the way in: it opens TCP and unix sockets, runs the TLS handshake, asks caller
// who is at the other end, counts places, and hands grpc connections whose caller is known.
package listen

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/caller"
)

// Address is where to listen.
type Address struct {
	Network    string // tcp or unix
	Address    string // host:port, or the socket's path
	SocketMode fs.FileMode
}

// Options are what the connections of a listener need. The zero value speaks plain text and reports
// nothing.
type Options struct {
	TLS     func() *caller.TLS // what is current, for addresses outside loopback. Nil: plain text
	Refused func(Refusal)      // hears of each connection that is closed or slowed down. Nil: nobody does
	Bounds  *Bounds            // what all listeners of a process share. Nil: bounds of its own
	Logger  *slog.Logger       // of a start that waits and a socket that is lost. Nil: nobody reads it
	// IsStranger reports whether whoever is at the other end may do nothing here. Nil: nobody is.
	IsStranger func(caller.Identity) bool
}

func (o Options) withDefaults() Options {
	if o.Refused == nil {
		o.Refused = func(Refusal) {}
	}
	if o.Bounds == nil {
		o.Bounds = NewBounds()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.IsStranger == nil {
		o.IsStranger = func(caller.Identity) bool { return false }
	}
	return o
}

// Open opens a listener for grpc. It waits some seconds for an address that is in use. A socket has
// its mode whatever the umask; see openSocket. The error says what to do and does not repeat the
// address.
func Open(ctx context.Context, address Address, options Options) (*Listener, error) {
	options = options.withDefaults()
	inner, err := address.await(ctx, options.Logger)
	if err != nil {
		return nil, err
	}
	from := &inlet{address: address, log: options.Logger, current: inner}
	return newListener(from, options), nil //nolint:contextcheck // it outlives the start
}

// OpenAdmin opens a listener for HTTP at host:port, whose connections are bounded. It waits, and its
// errors are, as with Open.
func OpenAdmin(ctx context.Context, address string, options Options) (net.Listener, error) {
	options = options.withDefaults()
	inner, err := Address{Network: "tcp", Address: address}.await(ctx, options.Logger)
	if err != nil {
		return nil, err
	}
	return newAdminListener(inner, maxAdminConnections, options.Refused), nil
}

// Probe returns, for each address, nil or the error that Open would return, without waiting. It holds
// all of them open together, as serve does, so it finds addresses that exclude each other. It leaves
// nothing behind and never takes a socket's path.
func Probe(ctx context.Context, addresses ...Address) []error {
	errs := make([]error, len(addresses))
	var opened []net.Listener
	for i, address := range addresses {
		listener, err := address.open(ctx, probeSocket)
		if errs[i] = address.explainUse(ctx, err); err == nil {
			opened = append(opened, listener)
		}
	}
	for _, listener := range opened {
		_ = listener.Close()
	}
	return errs
}

// How long a start waits for an address that is in use: by a sidecar that is about to end, or by an
// outgoing connection that happens to have the port.
const (
	useTimeout  = 5 * time.Second
	useInterval = 100 * time.Millisecond
)

// await opens the address, once it is not in use any more.
func (a Address) await(ctx context.Context, log *slog.Logger) (net.Listener, error) {
	waiting, stop := context.WithTimeout(ctx, useTimeout)
	defer stop()
	listener, err := a.open(ctx, openSocket)
	if isInUse(err) {
		log.Warn("address is in use: waiting for it", "event", "address_in_use",
			"address", a.Address, "timeout", useTimeout.String())
	}
	for isInUse(err) && pause(waiting, useInterval) {
		listener, err = a.open(ctx, openSocket)
	}
	return listener, a.explainUse(ctx, err)
}

// pause reports whether the time passed before the context ended.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

type socketOpener func(ctx context.Context, path string, mode fs.FileMode) (*socket, error)

func (a Address) open(ctx context.Context, openSocket socketOpener) (net.Listener, error) {
	if a.Network == "unix" {
		socket, err := openSocket(ctx, a.Address, a.SocketMode)
		if err != nil {
			return nil, err
		}
		return socket, nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, a.Network, a.Address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, errInUse
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, errors.New("not an address of this machine: choose one that is")
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("not permitted: choose a port that user %d may use; ports below 1024 are root's", os.Getuid())
	default:
		return listener, err
	}
}

var (
	errInUse   = errors.New("in use by another process, which does not answer there: stop it, or choose another address")
	errAnswers = errors.New("in use: something answers there (a running sidecar?): stop it, or choose another address")
)

func isInUse(err error) bool { return errors.Is(err, errInUse) || errors.Is(err, errAnswers) }

// explainUse finds out more about an address that is in use.
func (a Address) explainUse(ctx context.Context, err error) error {
	if !errors.Is(err, errInUse) {
		return err
	}
	conn, dialErr := (&net.Dialer{Timeout: answerTimeout}).DialContext(ctx, a.Network, a.Address)
	if dialErr != nil {
		return errInUse
	}
	_ = conn.Close()
	return errAnswers
}
