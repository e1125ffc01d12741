package listen

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/credentials"

	"github.com/chatidentity/chatidentity/server/internal/caller"
)

// certificate is what the client of a connection has shown.
type certificate struct {
	sent       []*x509.Certificate
	expires    time.Time          // the first of its chain
	current    func() *caller.TLS // of the listener
	verifiedBy atomic.Pointer[caller.TLS]
}

func (c *certificate) isTrusted(now time.Time) bool {
	trusted := c.current()
	if c.verifiedBy.Load() == trusted && !now.After(c.expires) {
		return true
	}
	if trusted.Verify(c.sent, now) != nil {
		return false
	}
	c.verifiedBy.Store(trusted)
	return true
}

// Credentials returns the transport credentials that a grpc server needs for connections of a
// Listener.
func Credentials() credentials.TransportCredentials { return transportCredentials{} }

type transportCredentials struct{}

// ServerHandshake is bounded by grpc, which sets a deadline on the connection for it.
func (transportCredentials) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	accepted, ok := raw.(*conn)
	if !ok {
		return nil, nil, fmt.Errorf("a %T is not a connection of a listener", raw)
	}
	if !accepted.listener.secured {
		plain := credentials.CommonAuthInfo{SecurityLevel: credentials.NoSecurity}
		traffic := accepted.follow(accepted, accepted.identity)
		if accepted.expiry != nil && !accepted.isStranger() {
			traffic.proven = func() { accepted.settle(accepted.identity) }
		}
		return traffic, &Connection{plain, accepted.identity, nil, traffic}, nil
	}
	secured, connection, err := accepted.handshake()
	if err != nil {
		accepted.listener.options.Refused(Refusal{handshakeKind(err), accepted.identity.Peer, err})
		return nil, nil, err
	}
	if !accepted.settle(connection.Caller) {
		return nil, nil, reasons[kindPlaces]
	}
	connection.traffic = accepted.follow(secured, connection.Caller)
	return connection.traffic, connection, nil
}

// maxCertificates bounds the certificates that a client sends, in bytes: its connection keeps them.
const maxCertificates = 32 << 10

func sizeOf(certificates []*x509.Certificate) int {
	size := 0
	for _, certificate := range certificates {
		size += len(certificate.Raw)
	}
	return size
}

func (c *conn) handshake() (net.Conn, *Connection, error) {
	trusted := c.listener.options.TLS()
	g := &greeting{conn: c}
	defer g.end()
	config := trusted.Config()
	config.GetConfigForClient = g.begin
	secured, info, err := credentials.NewTLS(config).ServerHandshake(g)
	if err != nil {
		return nil, nil, err
	}
	tlsInfo, ok := info.(credentials.TLSInfo)
	if !ok || len(tlsInfo.State.VerifiedChains) == 0 {
		return nil, nil, errors.New("the handshake verified no client certificate")
	}
	sent := tlsInfo.State.PeerCertificates
	if size := sizeOf(sent); size > maxCertificates {
		return nil, nil, fmt.Errorf("the client sent %d bytes of certificates, more than %d", size, maxCertificates)
	}
	identity, err := caller.FromCertificate(sent[0], c.identity.Peer)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errName, err)
	}
	shown := &certificate{sent: sent, expires: sent[0].NotAfter, current: c.listener.options.TLS}
	for _, signer := range tlsInfo.State.VerifiedChains[0] {
		if signer.NotAfter.Before(shown.expires) {
			shown.expires = signer.NotAfter
		}
	}
	shown.verifiedBy.Store(trusted)
	return secured, &Connection{tlsInfo.CommonAuthInfo, identity, shown, nil}, nil
}

func (transportCredentials) ClientHandshake(
	context.Context, string, net.Conn,
) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("server side only")
}

func (transportCredentials) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: protocol}
}

func (c transportCredentials) Clone() credentials.TransportCredentials { return c }

func (transportCredentials) OverrideServerName(string) error { return nil }
