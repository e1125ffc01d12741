package kustomer

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

// NewTransport returns a Client's default transport. It verifies certificates against the system's
// roots, takes proxies from the environment, and bounds each phase.
//
// Each connection serves one request. Requests are minutes apart, so nothing is lost, and net/http
// would silently repeat a GET on a reused connection that turns out to be dead, which would break
// the promise of one attempt a second.
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

// maxRedirects is the maximum number of redirects on the same host.
const maxRedirects = 3

// staysOnHost follows a redirect only to the same scheme, host and port, so that the API key goes
// nowhere else. Any other redirect is itself the answer.
func staysOnHost(next *http.Request, via []*http.Request) error {
	first := via[0].URL
	if len(via) > maxRedirects || next.URL.Scheme != first.Scheme || next.URL.Host != first.Host {
		return http.ErrUseLastResponse
	}
	return nil
}
