package rpc

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

// authInfo carries a connection's caller to its calls.
type authInfo struct {
	credentials.CommonAuthInfo
	identity    caller.Identity
	certificate *certificate // nil without TLS
}

func (authInfo) AuthType() string { return "peer" }

// connCredentials are grpc's transport credentials for connections of a
// listener.
type connCredentials struct {
	tls     func() *caller.TLS // nil: no listener speaks TLS
	metrics *metrics
}

// ServerHandshake is bounded by grpc: the connection has a deadline meanwhile.
func (c connCredentials) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	known, ok := raw.(*conn)
	if !ok {
		return nil, nil, fmt.Errorf("a %T did not come from our listener", raw)
	}
	if !known.secured {
		return raw, authInfo{CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.NoSecurity}, identity: known.identity}, nil
	}
	secured, info, err := c.handshake(known)
	if err != nil {
		c.metrics.transportErrors.WithLabelValues("tls").Inc()
		return nil, nil, err
	}
	return secured, info, nil
}

func (c connCredentials) handshake(raw *conn) (net.Conn, credentials.AuthInfo, error) {
	trusted := c.tls()
	secured, info, err := credentials.NewTLS(trusted.Config()).ServerHandshake(raw)
	if err != nil {
		return nil, nil, err
	}
	tlsInfo, ok := info.(credentials.TLSInfo)
	if !ok || len(tlsInfo.State.VerifiedChains) == 0 {
		return nil, nil, errors.New("the handshake verified no client certificate")
	}
	sent := tlsInfo.State.PeerCertificates
	identity, err := caller.FromCertificate(sent[0], raw.identity.Peer)
	if err != nil {
		return nil, nil, err
	}
	shown := &certificate{sent: sent, expires: sent[0].NotAfter}
	for _, signer := range tlsInfo.State.VerifiedChains[0] {
		if signer.NotAfter.Before(shown.expires) {
			shown.expires = signer.NotAfter
		}
	}
	shown.verifiedBy.Store(trusted)
	return secured, authInfo{tlsInfo.CommonAuthInfo, identity, shown}, nil
}

// certificate is what the client of a connection has shown.
type certificate struct {
	sent       []*x509.Certificate
	expires    time.Time // the first of its chain
	verifiedBy atomic.Pointer[caller.TLS]
}

// isGood reports whether a new connection with the certificate would be taken
// now: it has not expired, and a CA of this moment signed it.
func (c *certificate) isGood(trusted *caller.TLS, now time.Time) bool {
	if c.verifiedBy.Load() == trusted && !now.After(c.expires) {
		return true
	}
	if trusted.Verify(c.sent, now) != nil {
		return false
	}
	c.verifiedBy.Store(trusted)
	return true
}

func (connCredentials) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("server side only")
}

func (connCredentials) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "peer"}
}

func (c connCredentials) Clone() credentials.TransportCredentials { return c }

func (connCredentials) OverrideServerName(string) error { return nil }
