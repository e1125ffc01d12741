package listen

import (
	"errors"
	"net"
	"syscall"
	"testing"
)

// offering is a listener whose Accept returns one after the other; nil is a connection.
type offering struct {
	net.Listener
	errs []error
}

func (o *offering) Accept() (net.Conn, error) {
	if len(o.errs) == 0 {
		return nil, net.ErrClosed
	}
	err := o.errs[0]
	if o.errs = o.errs[1:]; err != nil {
		return nil, err
	}
	return &net.TCPConn{}, nil
}

func (*offering) Close() error { return nil }

// A newcomer that finds no descriptor gets the one in reserve, and another is put by once there is
// one. Every other error is the server's to see.
func TestAReservedDescriptorIsSpentAndPutBy(t *testing.T) {
	t.Parallel()
	const process, machine = syscall.EMFILE, syscall.ENFILE
	for name, test := range map[string]struct {
		offers []error
		want   error
	}{
		"enough":                  {[]error{nil}, nil},
		"none for the process":    {[]error{process, nil}, nil},
		"none for the machine":    {[]error{machine, nil}, nil},
		"another one was faster":  {[]error{process, process, nil}, nil},
		"and another":             {[]error{process, machine, process, process, nil}, nil},
		"another error":           {[]error{syscall.ECONNABORTED}, syscall.ECONNABORTED},
		"another error, and none": {[]error{process, syscall.ECONNABORTED}, syscall.ECONNABORTED},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			offers := &offering{errs: test.offers}
			s := newSpared(offers, func(r Refusal) { t.Errorf("refused %+v", r) })
			defer s.Close()
			conn, err := s.Accept()
			if !errors.Is(err, test.want) || (conn == nil) != (test.want != nil) || len(offers.errs) != 0 {
				t.Errorf("accepted %v, error %v, with %d offers left", conn, err, len(offers.errs))
			}
			if s.reserve == nil {
				t.Error("nothing is in reserve")
			}
		})
	}
}

// The reserve of a closed listener is given back, and none is taken again.
func TestAClosedListenerHasNoReserve(t *testing.T) {
	t.Parallel()
	s := newSpared(&offering{}, nil)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Accept(); !errors.Is(err, net.ErrClosed) || s.reserve != nil || s.spend() {
		t.Errorf("error %v, reserve %v", err, s.reserve)
	}
}
