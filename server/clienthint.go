package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/chatidentity/chatidentity/server/internal/config"
)

// attempt is how connecting to the sidecar went. grpc tells an error's text, and this the error.
type attempt struct {
	credentials.TransportCredentials

	mu        sync.Mutex
	connected bool
	err       error  // of the last connection
	answer    []byte // the first bytes that the last connection read
}

func (a *attempt) keep(connected bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.connected, a.err, a.answer = connected, err, nil
}

func (a *attempt) last() (bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.connected, a.err
}

func (a *attempt) dial(ctx context.Context, address string) (net.Conn, error) {
	network := "tcp"
	if path, isUnix := strings.CutPrefix(address, "unix:"); isUnix {
		network, address = "unix", strings.TrimPrefix(path, "//")
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	a.keep(err == nil, err)
	if err != nil {
		return nil, err
	}
	return listening{conn, a}, nil
}

// listening is a connection whose first bytes are kept.
type listening struct {
	net.Conn

	attempt *attempt
}

// Read implements net.Conn.
func (l listening) Read(buffer []byte) (int, error) {
	n, err := l.Conn.Read(buffer)
	l.attempt.hear(buffer[:n])
	return n, err
}

// frameHeader is the size of the header of an HTTP/2 frame; settings is the type of the frame with
// which a server begins.
const (
	frameHeader = 9
	settings    = 4
)

func (a *attempt) hear(heard []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if room := frameHeader - len(a.answer); room > 0 {
		a.answer = append(a.answer, heard[:min(room, len(heard))]...)
	}
}

// heardAnother reports whether the answer was not that of an HTTP/2 server.
func (a *attempt) heardAnother() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.answer) == frameHeader && a.answer[3] != settings
}

// ClientHandshake implements credentials.TransportCredentials.
func (a *attempt) ClientHandshake(
	ctx context.Context, authority string, raw net.Conn,
) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := a.TransportCredentials.ClientHandshake(ctx, authority, raw)
	if err != nil {
		a.keep(true, err)
	}
	return conn, info, err
}

// Clone implements credentials.TransportCredentials: grpc clones them once, and the attempt stays ours.
func (a *attempt) Clone() credentials.TransportCredentials { return a }

// hint returns what the cause of an error most likely is and what to do, or nothing.
func (f *clientFlags) hint(err error, tried *attempt) string {
	said := status.Convert(err)
	switch {
	case len(said.Details()) > 0: // the sidecar's own answer says it all
		return ""
	case said.Code() == codes.DeadlineExceeded:
		return f.deadlineHint(tried)
	case said.Code() == codes.Unimplemented:
		return "what answers there is no sidecar, or one of another version"
	case said.Code() != codes.Unavailable:
		return ""
	}
	connected, cause := tried.last()
	switch {
	case !connected:
		return f.dialHint(cause)
	case cause != nil:
		return f.handshakeHint(cause)
	case f.usesTLS():
		return "the sidecar may not accept --client-cert: its CA must be in the sidecar's --tls-client-ca, " +
			"and it must be valid and have a name"
	case !f.Address.IsUnix() && speaksTLS(f.Address.String()):
		return "the sidecar listens with TLS there: give --server-ca, --client-cert and --client-key"
	case tried.heardAnother():
		return "what answers there speaks no gRPC: it is a web server, such as the sidecar's own --admin-listen " +
			"(" + config.DefaultAdminListen + "); calls go to its --listen (" + config.DefaultListen + ")"
	default:
		return "it was closed at once: the sidecar's limit of connections is reached (connection_limit in " +
			"its log), or what listens there is no sidecar"
	}
}

func (f *clientFlags) deadlineHint(tried *attempt) string {
	if connected, _ := tried.last(); !connected {
		return fmt.Sprintf("no connection within --timeout %v: is the host right, does a firewall drop packets?", f.Timeout)
	}
	return fmt.Sprintf("connected, but no answer within --timeout %v: the sidecar hangs (its /readyz and log say why), "+
		"or what listens there is no sidecar", f.Timeout)
}

func (f *clientFlags) dialHint(cause error) string {
	var unknownHost *net.DNSError
	switch {
	case errors.Is(cause, fs.ErrNotExist):
		return "there is no such socket: is the sidecar running, with --listen " + f.Address.String() + "?"
	case errors.Is(cause, fs.ErrPermission) && f.Address.IsUnix():
		return fmt.Sprintf("user %d may not use the socket: see the sidecar's --socket-mode and --allow-uid, "+
			"the socket's group, and the mode of its directory", os.Getuid())
	case errors.Is(cause, syscall.ECONNREFUSED):
		return "nothing listens there: is the sidecar running, with --listen " + f.Address.String() + "?"
	case errors.As(cause, &unknownHost):
		return "there is no host of that name"
	default:
		return "it cannot be reached from here"
	}
}

func (f *clientFlags) handshakeHint(cause error) string {
	var (
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
		noTLS     tls.RecordHeaderError
	)
	switch {
	case errors.As(cause, &authority):
		return "--server-ca is not the CA of the sidecar's certificate"
	case errors.As(cause, &name):
		return "the sidecar's certificate is for other names: give one of them as --server-name"
	case errors.As(cause, &invalid):
		return "the sidecar's certificate is expired or unfit, or the clock here is wrong"
	case errors.As(cause, &noTLS):
		return "what listens there does not speak TLS: leave out --server-ca, --client-cert and --client-key"
	default:
		return "the TLS handshake failed"
	}
}

const tlsProbeTimeout = time.Second

// speaksTLS reports whether a server shows a certificate there.
func speaksTLS(address string) bool {
	shown := false
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: tlsProbeTimeout}, Config: &tls.Config{
		InsecureSkipVerify: true, //nolint:gosec // nothing is sent: it only looks whether there is a certificate
		VerifyConnection:   func(tls.ConnectionState) error { shown = true; return nil },
	}}
	ctx, cancel := context.WithTimeout(context.Background(), tlsProbeTimeout)
	defer cancel()
	if conn, err := dialer.DialContext(ctx, "tcp", address); err == nil {
		_ = conn.Close()
	}
	return shown
}
