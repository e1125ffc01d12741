// Package listen is the way in: it opens TCP and unix sockets, runs the TLS handshake, asks caller
// who is at the other end, counts places, and hands grpc connections whose caller is known.
package listen

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"

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
	// IsStranger reports whether whoever is at the other end may do nothing here. Nil: nobody is.
	IsStranger func(caller.Identity) bool
}

// Open opens a listener for grpc. A socket has its mode whatever the umask; see openSocket. The
// error says what to do and does not repeat the address.
func Open(ctx context.Context, address Address, options Options) (*Listener, error) {
	inner, err := address.open(ctx, os.Rename)
	if err != nil {
		return nil, err
	}
	return newListener(inner, options), nil
}

// OpenAdmin opens a listener for HTTP at host:port, whose connections are bounded. The errors are
// those of Open.
func OpenAdmin(ctx context.Context, address string) (net.Listener, error) {
	inner, err := Address{Network: "tcp", Address: address}.open(ctx, os.Rename)
	if err != nil {
		return nil, err
	}
	return newAdminListener(inner, maxAdminConnections), nil
}

// Probe returns, for each address, nil or the error that Open would return. It holds all of them
// open together, as serve does, so it finds addresses that exclude each other. It leaves nothing
// behind and never takes a socket's path.
func Probe(ctx context.Context, addresses ...Address) []error {
	errs := make([]error, len(addresses))
	var opened []net.Listener
	for i, address := range addresses {
		listener, err := address.open(ctx, leaveInPlace)
		if errs[i] = err; err == nil {
			opened = append(opened, listener)
		}
	}
	for _, listener := range opened {
		_ = listener.Close()
	}
	return errs
}

// open opens the address; move puts a finished socket in its place.
func (a Address) open(ctx context.Context, move func(from, to string) error) (net.Listener, error) {
	if a.Network == "unix" {
		return openSocket(ctx, a.Address, a.SocketMode, move)
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

var errInUse = errors.New("in use (by a running sidecar?): stop what listens there, or choose another address")
