package kustomer

import (
	"crypto/tls"
	"net"
	"net/http"
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
