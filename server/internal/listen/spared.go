package listen

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
)

// spared is a listener that keeps a descriptor in reserve. When the process has no other left, it
// uses that one to close new connections at once: they would wait in the kernel until they time out.
type spared struct {
	net.Listener
	refused func(Refusal)

	mu      sync.Mutex
	reserve *os.File // nil: it could not be opened again yet
	closed  bool
}

func newSpared(inner net.Listener, refused func(Refusal)) *spared {
	s := &spared{Listener: inner, refused: refused}
	s.restock()
	return s
}

// Accept returns the next connection for which there is a descriptor.
func (s *spared) Accept() (net.Conn, error) {
	for {
		conn, err := s.Listener.Accept()
		if isOutOfDescriptors(err) && s.spend() {
			conn, err = s.Listener.Accept()
		}
		if hasReserve := s.restock(); hasReserve && isOutOfDescriptors(err) {
			continue // another connection was faster
		} else if hasReserve || err != nil { // of ours, the server tries again in a moment
			return conn, err
		}
		s.refused(Refusal{kindDescriptors, conn.RemoteAddr().String(), reasons[kindDescriptors]})
		_ = conn.Close()
		s.restock()
	}
}

// spend makes the reserve free for one connection, and reports whether there was one.
func (s *spared) spend() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reserve == nil {
		return false
	}
	_ = s.reserve.Close()
	s.reserve = nil
	return true
}

// restock reports whether the process has a descriptor left to keep in reserve.
func (s *spared) restock() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reserve != nil || s.closed {
		return true
	}
	var err error
	s.reserve, err = os.Open(os.DevNull)
	return !isOutOfDescriptors(err)
}

// Close ends the listener and gives the reserve back.
func (s *spared) Close() error {
	s.spend()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	return s.Listener.Close()
}

func isOutOfDescriptors(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}
