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
	CloseIfStuck(t, listener)
	var slow []net.Conn
	for range 10 {
		dialed, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer dialed.Close()
		CloseIfStuck(t, dialed)
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
		if r := NextRefusal(t, refused); r.Kind != "admin_connection_limit" || r.Peer != conn.LocalAddr().String() {
			t.Errorf("connection %d: reported %+v", i, r)
		}
	}
	if open := listener.places.count(); open != 2 {
		t.Errorf("%d connections are open, want 2", open)
	}
}

// A whole request does not give way to newcomers that are slow to ask, read or not.
func TestAWholeRequestDoesNotGiveWay(t *testing.T) {
	t.Parallel()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener := newAdminListener(inner, 4, func(Refusal) {})
	defer listener.Close()
	CloseIfStuck(t, listener)
	connect := func(text string) (dialed, accepted net.Conn) {
		dialed, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { dialed.Close() })
		CloseIfStuck(t, dialed)
		if _, err := io.WriteString(dialed, text); err != nil {
			t.Fatal(err)
		}
		if accepted, err = listener.Accept(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { accepted.Close() })
		return dialed, accepted
	}
	const head = "GET /livez HTTP/1.1\r\nHost: x\r\n"
	_, waiting := connect(head + "\r\n")
	halfRead, reading := connect(head)
	if _, err := io.ReadFull(reading, make([]byte, len(head))); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(halfRead, "\r\n"); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		connect(head)
	}
	for what, asking := range map[string]net.Conn{head + "\r\n": waiting, "\r\n": reading} {
		rest := make([]byte, len(what))
		if _, err := io.ReadFull(asking, rest); err != nil || string(rest) != what {
			t.Errorf("read %q, error %v; want %q", rest, err, what)
		}
	}
}

func TestTheEndOfAHeadIsFound(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]uint32{
		"": 0, "GET": 0, "\r": 1, "\r\n": 2, "\r\n\r": 3, "\r\n\r\n": 4, "a: b\r\n\r\nbody": 4,
		"\r\r\n\r\n": 4, "\r\n\r\r\n\r\n": 4, "\r\na\r\n": 2, "\n\r\n": 2, "\r\n\n": 0,
	} {
		if got := findHeadEnd(0, []byte(text)); got != want {
			t.Errorf("%q: %d bytes of the end have come, want %d", text, got, want)
		}
		var pieces uint32
		for i := range len(text) {
			pieces = findHeadEnd(pieces, []byte{text[i]})
		}
		if pieces != want {
			t.Errorf("%q, byte by byte: %d bytes of the end have come, want %d", text, pieces, want)
		}
	}
}
