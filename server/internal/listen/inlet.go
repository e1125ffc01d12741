package listen

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
)

// inlet is where a Listener's connections come from. A socket that somebody removes or replaces is
// made anew: the inlet then accepts from the new one, and connections that are open stay.
type inlet struct {
	address Address
	log     *slog.Logger

	mending sync.Mutex
	mu      sync.Mutex
	current net.Listener
	fault   error // why the socket cannot be made anew; nil: it was not tried
	closed  bool
}

// Accept returns the next connection, whichever socket it comes from.
func (i *inlet) Accept() (net.Conn, error) {
	for {
		from := i.now()
		conn, err := from.Accept()
		if err == nil || from == i.now() {
			return conn, err
		}
	}
}

func (i *inlet) now() net.Listener {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.current
}

// Addr returns the address that callers use.
func (i *inlet) Addr() net.Addr { return i.now().Addr() }

// Close ends the inlet; its connections stay.
func (i *inlet) Close() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.closed = true
	return i.current.Close()
}

var errLost = errors.New("the socket was removed or replaced")

// lost returns nil while callers reach the inlet by its address.
func (i *inlet) lost() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	socket, isSocket := i.current.(*socket)
	switch {
	case !isSocket || socket.isInPlace():
		return nil
	case i.fault != nil:
		return fmt.Errorf("unix:%s: %w, and cannot be made anew: %w", i.address.Address, errLost, i.fault)
	default:
		return fmt.Errorf("unix:%s: %w", i.address.Address, errLost)
	}
}

// mend makes a socket anew that was lost, unless another process serves in its place.
func (i *inlet) mend(ctx context.Context) {
	i.mending.Lock()
	defer i.mending.Unlock()
	if i.lost() == nil {
		return
	}
	anew, err := openSocket(ctx, i.address.Address, i.address.SocketMode)
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case err != nil && (i.fault == nil || i.fault.Error() != err.Error()):
		i.log.Error("socket lost: nobody can connect", "event", "socket_lost",
			"path", i.address.Address, "error", err.Error())
	case err == nil && i.closed:
		_ = anew.Close()
	case err == nil:
		i.log.Warn("socket was removed or replaced: made anew", "event", "socket_restored", "path", i.address.Address)
		_ = i.current.Close()
		i.current = anew
	}
	i.fault = err
}
