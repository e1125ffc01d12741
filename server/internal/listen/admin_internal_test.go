package listen

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
)

// Whoever is slow to ask gives way to whoever comes, so a probe is never refused.
func TestTheAdminListenerTakesEveryNewcomer(t *testing.T) {
	t.Parallel()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := make(chan Refusal, 8)
	listener := newAdminListener(inner, 2, func(r Refusal) { refused <- r })
	defer listener.Close()
	var slow []net.Conn
	for range 10 {
		dialed, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer dialed.Close()
		accepted, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer accepted.Close()
		slow = append(slow, dialed)
	}
	for i, conn := range slow[:8] {
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("connection %d: %v, want it closed", i, err)
		}
		if r := <-refused; r.Kind != "admin_connection_limit" || r.Peer != conn.LocalAddr().String() {
			t.Errorf("connection %d: reported %+v", i, r)
		}
	}
	if open := listener.places.count(); open != 2 {
		t.Errorf("%d connections are open, want 2", open)
	}
}
