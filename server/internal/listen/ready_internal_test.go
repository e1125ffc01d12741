package listen

import (
	"errors"
	"io"
	"net"
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/caller"
)

// lender counts the buffers that are out.
type lender struct{ out int }

func (l *lender) Get(size int) *[]byte {
	l.out++
	buffer := make([]byte, size)
	return &buffer
}

func (l *lender) Put(*[]byte) { l.out-- }

// TestASilentConnectionHoldsNoBuffer: only one that has sent something gets a buffer, with what it
// sent.
func TestASilentConnectionHoldsNoBuffer(t *testing.T) {
	t.Parallel()
	client, accepted := connected(t)
	c := newConn(accepted, nil, caller.Identity{})
	server := newTraffic(c, accepted, NewBounds().strangers, func(string) {})
	var pool lender
	server.ready.size, server.ready.pool = 1024, &pool
	err := server.ready.socket.Control(func(fd uintptr) {
		if server.ready.tryRead(fd) || pool.out != 0 {
			t.Errorf("of a silent connection %d buffers are held", pool.out)
		}
	})
	if err != nil || c.heard.Load() {
		t.Errorf("%v, heard: %v", err, c.heard.Load())
	}
	const sent = "PRI * HTTP/2.0\r\n"
	if _, err := client.Write([]byte(sent)); err != nil {
		t.Fatal(err)
	}
	buffer, n, err := server.ReadOnReady(1024, &pool)
	if err != nil || string((*buffer)[:n]) != sent || pool.out != 1 || !c.heard.Load() {
		t.Fatalf("%v, %d bytes, %d buffers", err, n, pool.out)
	}
	pool.Put(buffer)
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	if buffer, n, err := server.ReadOnReady(1024, &pool); !errors.Is(err, io.EOF) || buffer != nil || n != 0 || pool.out != 0 {
		t.Errorf("at the end: %v, %v, %d bytes, %d buffers", err, buffer, n, pool.out)
	}
}

// connected returns both ends of a TCP connection.
func connected(t *testing.T) (net.Conn, net.Conn) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close(); _ = accepted.Close() })
	return client, accepted
}
