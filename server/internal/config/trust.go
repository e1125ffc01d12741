package config

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/retry"
	"github.com/chatidentity/chatidentity/server/internal/watch"
)

// phaseTimeout bounds dialling another server, and the TLS handshake with it.
const phaseTimeout = 5 * time.Second

// newTransport returns what sends requests to servers that the system's CAs or those of the file
// sign for. The file is read before each request, so a changed one counts at once, and one that is
// missing or wrong fails the request: nobody is trusted whom a good file would not trust.
func newTransport(caFile string) http.RoundTripper {
	return retry.NewTransport(phaseTimeout, func() (*x509.CertPool, error) { return readRoots(caFile) })
}

// readRoots returns the system's CAs with those of the file; nil, for the system's alone, without
// one.
func readRoots(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil //nolint:nilnil // crypto/tls takes nil as the system's
	}
	content, err := watch.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--ca-file: %w", err)
	}
	authorities, err := watch.ParseCertificates(content)
	if err != nil {
		return nil, fmt.Errorf("--ca-file %s: %w", path, err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // an image without CAs
	}
	for _, authority := range authorities {
		pool.AddCert(authority)
	}
	return pool, nil
}
