package redis

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"github.com/chatidentity/chatidentity/server/internal/watch"
)

// ParseTLS returns the client's side of TLS from files in PEM: the CAs to trust instead of the
// system's, and the client certificate with its key. CAs, and the other two together, may be nil.
func ParseTLS(ca, certificate, key []byte) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != nil {
		trusted, err := watch.ParseCertificates(ca)
		if err != nil {
			return nil, fmt.Errorf("CAs: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		for _, one := range trusted {
			config.RootCAs.AddCert(one)
		}
	}
	if certificate != nil {
		pair, err := watch.ParseKeyPair(certificate, key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
