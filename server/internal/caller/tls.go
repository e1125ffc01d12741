package caller

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/watch"
)

// TLS is the certificate that a listener shows its callers and the CAs that verify theirs. It is
// immutable: changed files make a new one. Nil is what there is before the files are good: no
// handshake succeeds.
type TLS struct {
	certificate tls.Certificate
	clientCAs   *x509.CertPool
}

// ParseTLS reads the certificate chain, its private key and the CAs of clients, all in PEM. A key
// that belongs to another certificate is an error, and so is anything among the CAs that is not a
// certificate.
func ParseTLS(certificate, key, clientCA []byte) (*TLS, error) {
	pair, err := watch.ParseKeyPair(certificate, key)
	if err != nil {
		return nil, err
	}
	authorities, err := watch.ParseCertificates(clientCA)
	if err != nil {
		return nil, fmt.Errorf("client CA file: %w", err)
	}
	pool := x509.NewCertPool()
	for _, authority := range authorities {
		pool.AddCert(authority)
	}
	return &TLS{pair, pool}, nil
}

// Config returns the settings of one handshake. Sessions are never resumed: each connection proves
// its certificate anew.
func (t *TLS) Config() *tls.Config {
	if t == nil {
		return &tls.Config{MinVersion: tls.VersionTLS13, GetConfigForClient: refuseHandshake}
	}
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{t.certificate},
		ClientAuth:             tls.RequireAndVerifyClientCert,
		ClientCAs:              t.clientCAs,
		NextProtos:             []string{"h2"},
		SessionTicketsDisabled: true,
	}
}

var errNoCertificate = errors.New("the listener has no certificate: its files are missing or wrong")

// refuseHandshake makes the client see the alert "internal error".
func refuseHandshake(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, errNoCertificate }

// ExpireTime returns when the listener's own certificate expires; the year 1970 for nil.
func (t *TLS) ExpireTime() time.Time {
	if t == nil {
		return time.Unix(0, 0)
	}
	return t.certificate.Leaf.NotAfter
}

// Expired returns nil, or that the listener's own certificate has expired, so that no client trusts it.
func (t *TLS) Expired(now time.Time) error {
	if expires := t.ExpireTime(); t != nil && now.After(expires) {
		return fmt.Errorf("the listeners' certificate expired at %s: no client trusts it", expires.UTC().Format(time.RFC3339))
	}
	return nil
}

// Verify checks a client's certificates, as sent in its handshake, once more: a connection may
// outlive its certificate and the CA that signed it.
func (t *TLS) Verify(sent []*x509.Certificate, now time.Time) error {
	if len(sent) == 0 {
		return errors.New("no client certificate")
	}
	intermediates := x509.NewCertPool()
	for _, certificate := range sent[1:] {
		intermediates.AddCert(certificate)
	}
	_, err := sent[0].Verify(x509.VerifyOptions{
		Roots: t.clientCAs, Intermediates: intermediates, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return err
}
