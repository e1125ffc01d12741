package attack

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
)

// tlsConfig returns nil for an attacker that speaks plain text.
func (s Spec) tlsConfig() (*tls.Config, error) {
	if s.TLS == nil {
		return nil, nil //nolint:nilnil // no TLS is no error
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(s.TLS.CA) {
		return nil, errors.New("the CA holds no certificate")
	}
	config := &tls.Config{
		RootCAs: pool, ServerName: "127.0.0.1", NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS13,
	}
	if s.TLS.Certificate == nil {
		return config, nil
	}
	pair, err := tls.X509KeyPair(s.TLS.Certificate, s.TLS.Key)
	if err != nil {
		return nil, err
	}
	config.Certificates = []tls.Certificate{pair}
	return config, nil
}
