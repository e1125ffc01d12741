package kustomer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"
)

// NewTransport returns the transport of a Client: certificates verified against
// the system's roots, proxies from the environment, each phase bounded.
//
// A connection serves one request. Requests are minutes apart, so nothing is
// lost; and net/http repeats a GET by itself when a kept connection turns out
// dead, which would break the promise of one attempt a second.
func NewTransport() *http.Transport {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    5 * time.Second,
		ForceAttemptHTTP2:      true,
		DisableKeepAlives:      true,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// maxRedirects bounds a chain of redirects on one host.
const maxRedirects = 3

// staysOnHost follows a redirect only to the same scheme, host and port: the
// API key must not travel. Otherwise the redirect itself is the answer.
func staysOnHost(next *http.Request, via []*http.Request) error {
	first := via[0].URL
	if len(via) > maxRedirects || next.URL.Scheme != first.Scheme || next.URL.Host != first.Host {
		return http.ErrUseLastResponse
	}
	return nil
}

// explainTransport says in words of our own why a request failed. The error's
// own text is not used where it could quote what the server sent: that may hold
// the secret.
func explainTransport(err error, timeout time.Duration) string {
	var (
		dns         *net.DNSError
		certificate *tls.CertificateVerificationError
		alert       tls.AlertError
		errno       syscall.Errno
		netError    net.Error
	)
	switch {
	case errors.Is(err, context.DeadlineExceeded) || errors.As(err, &netError) && netError.Timeout():
		return fmt.Sprintf("no whole answer within %s", timeout)
	case errors.As(err, &dns):
		return "the host name cannot be resolved (" + clean(dns.Err) + ")"
	case errors.As(err, &certificate):
		return "its TLS certificate is not trusted (" + clean(certificate.Err.Error()) + ")"
	case errors.Is(err, http.ErrSchemeMismatch):
		return "it answers plain HTTP where https is expected"
	case errors.As(err, &alert):
		return "the TLS handshake failed (" + clean(alert.Error()) + ")"
	case errors.As(err, &errno):
		return clean(errno.Error())
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was closed before the answer was whole"
	default:
		return "what came back is not a valid HTTP answer"
	}
}
