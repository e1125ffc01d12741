package listen

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
)

// One remote host gets only a share of the places, and gives them back when it disconnects.
func TestBoundSharesTheConnections(t *testing.T) {
	t.Parallel()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener := newBoundListener(inner, 3, 2)
	defer listener.Close()
	accepted := make(chan net.Conn, 10)
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	dialTo := func() net.Conn {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	dialTo()
	dialTo()
	first, second := <-accepted, <-accepted
	defer second.Close()
	if _, err := dialTo().Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the third of one host: %v, want it closed", err)
	}
	first.Close()
	first.Close() // twice gives back one place
	dialTo()
	defer (<-accepted).Close()
	if _, err := dialTo().Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a place was given back twice: %v", err)
	}
}
