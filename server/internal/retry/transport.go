package retry

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

// NewTransport returns a transport for requests to another server. It takes proxies from the
// environment and bounds each phase by the timeout. Roots is called before each request and returns
// the CAs to trust; if it is nil or returns nil, the system's CAs are trusted.
//
// Each connection serves one request. Requests are minutes apart, so nothing is lost, and net/http
// would silently repeat a GET on a reused connection that turns out to be dead, which would break
// the promise of one attempt a second.
func NewTransport(timeout time.Duration, roots func() (*x509.CertPool, error)) http.RoundTripper {
	return &transport{timeout: timeout, roots: roots, proxy: http.ProxyFromEnvironment}
}

type transport struct {
	timeout time.Duration
	roots   func() (*x509.CertPool, error)
	proxy   func(*http.Request) (*url.URL, error)
}

// RoundTrip implements http.RoundTripper. An error on the way through a proxy names the proxy.
func (t *transport) RoundTrip(request *http.Request) (*http.Response, error) {
	var pool *x509.CertPool
	if t.roots != nil {
		var err error
		if pool, err = t.roots(); err != nil {
			return nil, &wayError{err.Error()}
		}
	}
	proxy, err := t.proxy(request)
	if err != nil { // it quotes the URL, which may hold a password
		return nil, &wayError{"the proxy in HTTPS_PROXY or HTTP_PROXY is not a URL: write it like http://proxy:3128"}
	}
	inner := http.Transport{
		Proxy:                  http.ProxyURL(proxy),
		DialContext:            (&net.Dialer{Timeout: t.timeout}).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool},
		TLSHandshakeTimeout:    t.timeout,
		ForceAttemptHTTP2:      true,
		DisableKeepAlives:      true,
		MaxResponseHeaderBytes: 64 << 10,
		OnProxyConnectResponse: func(_ context.Context, _ *url.URL, _ *http.Request, answer *http.Response) error {
			if answer.StatusCode == http.StatusOK {
				return nil
			}
			return &wayError{fmt.Sprintf("it refuses the connection with the status %d", answer.StatusCode)}
		},
	}
	answer, err := inner.RoundTrip(request)
	if err != nil && proxy != nil {
		return nil, &proxyError{proxy.Host, err}
	}
	return answer, err
}

// wayError is an error in our own words.
type wayError struct{ text string }

func (e *wayError) Error() string { return e.text }

// proxyError says what went wrong on the way through a proxy.
type proxyError struct {
	host  string // without the user and password of its URL
	cause error
}

func (e *proxyError) Error() string { return "through the proxy " + e.host + ": " + e.cause.Error() }

func (e *proxyError) Unwrap() error { return e.cause }

func (e *proxyError) explain(timeout time.Duration) string {
	said := cmp.Or(Explain(e.cause, timeout), "what came back is not a valid HTTP answer")
	return "through the proxy " + Printable(e.host) + ": " + said
}
