package attack

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"
)

// silent connects, says nothing, and waits to be closed.
func silent(_ context.Context, a *attacker, conn net.Conn) error {
	a.sent.Add(1)
	_, err := io.Copy(io.Discard, conn)
	return errors.Join(errClosed, err)
}

// clientHello begins a TLS handshake and never goes on with it.
func clientHello(ctx context.Context, a *attacker, conn net.Conn) error {
	a.sent.Add(1)
	ours, theirs := net.Pipe()
	defer theirs.Close() //nolint:errcheck // it holds nothing
	go func() {
		_ = tls.Client(ours, a.tls).HandshakeContext(ctx)
		_ = ours.Close()
	}()
	hello := make([]byte, 4096)
	n, err := theirs.Read(hello)
	if err != nil {
		return err
	}
	if _, err := conn.Write(hello[:n]); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, conn)
	return errors.Join(errClosed, err)
}

// handshake makes the server do its part of one after the other, and is refused
// for want of a certificate.
func handshake(ctx context.Context, a *attacker, conn net.Conn) error {
	a.sent.Add(1)
	secured := tls.Client(conn, a.tls)
	if err := secured.HandshakeContext(ctx); err != nil {
		return err
	}
	_, err := secured.Read(make([]byte, 1))
	return err
}

// slowHTTP sends a request whose headers never end, a little now and then.
func slowHTTP(ctx context.Context, a *attacker, conn net.Conn) error {
	a.sent.Add(1)
	gone := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, conn)
		close(gone)
	}()
	if _, err := io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: localhost\r\n"); err != nil {
		return err
	}
	for {
		select {
		case <-gone:
			return errClosed
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(300 * time.Millisecond):
		}
		if _, err := io.WriteString(conn, "x: y\r\n"); err != nil {
			return err
		}
	}
}
