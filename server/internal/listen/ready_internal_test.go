package listen

import (
	"errors"
	"io"
	"net"
	"syscall"
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

// Why nothing will come is what the socket says.
func TestAConnectionThatEndsSaysWhy(t *testing.T) {
	t.Parallel()
	for want, end := range map[error]func(client, accepted net.Conn) error{
		io.EOF:        func(client, _ net.Conn) error { return client.Close() },
		net.ErrClosed: func(_, accepted net.Conn) error { return accepted.Close() },
		syscall.ECONNRESET: func(client, _ net.Conn) error {
			return errors.Join(client.(*net.TCPConn).SetLinger(0), client.Close())
		},
	} {
		client, accepted := connected(t)
		server := newTraffic(newConn(accepted, nil, caller.Identity{}), accepted, NewBounds().strangers, func(string) {})
		if err := end(client, accepted); err != nil {
			t.Fatal(err)
		}
		var pool lender
		buffer, n, err := server.ReadOnReady(1024, &pool)
		if !errors.Is(err, want) || buffer != nil || n != 0 || pool.out != 0 || !server.over.Load() {
			t.Errorf("%v, %d bytes, %d buffers are out; want %v", err, n, pool.out, want)
		}
	}
}

// A connection that is not the socket itself, as with TLS, is read with a buffer of its own.
func TestAConnectionThatIsNoSocketIsRead(t *testing.T) {
	t.Parallel()
	client, ours := net.Pipe()
	defer client.Close()
	defer ours.Close()
	server := newTraffic(ours, ours, NewBounds().strangers, func(string) {})
	go func() { _, _ = client.Write([]byte("PRI")) }()
	var pool lender
	buffer, n, err := server.ReadOnReady(1024, &pool)
	if err != nil || string((*buffer)[:n]) != "PRI" || pool.out != 1 {
		t.Errorf("%v, %d bytes, %d buffers are out", err, n, pool.out)
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
