package retry

import (
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// tunnel answers CONNECT with a connection to the address.
func tunnel(t *testing.T, address string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		there, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Error(err)
			return
		}
		here, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
		go func() {
			_, _ = io.Copy(there, here)
			_ = there.Close()
		}()
		_, _ = io.Copy(here, there)
		_ = here.Close()
	}
}

// A server is trusted with the given CAs alone, and a proxy in the way is named without its
// password.
func TestTransport(t *testing.T) {
	t.Parallel()
	var connections atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	trusted := x509.NewCertPool()
	trusted.AddCert(server.Certificate())
	proxyOf := func(handler http.HandlerFunc) string {
		proxy := httptest.NewServer(handler)
		t.Cleanup(proxy.Close)
		return strings.Replace(proxy.URL, "http://", "http://user:canary@", 1)
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	for name, test := range map[string]struct {
		roots *x509.CertPool
		proxy string // empty: none
		says  string // empty: it answers
	}{
		"trusted":                     {trusted, "", ""},
		"trusted, through a proxy":    {trusted, proxyOf(tunnel(t, server.Listener.Addr().String())), ""},
		"not trusted":                 {x509.NewCertPool(), "", "its TLS certificate is not trusted"},
		"the system's CAs":            {nil, "", "add that CA"},
		"not trusted behind a proxy":  {x509.NewCertPool(), proxyOf(tunnel(t, server.Listener.Addr().String())), "through the proxy PROXY: its TLS certificate is not trusted"},
		"a proxy that forbids":        {trusted, proxyOf(status(http.StatusForbidden)), "through the proxy PROXY: it refuses the connection with the status 403"},
		"a proxy that wants a log-in": {trusted, proxyOf(status(http.StatusProxyAuthRequired)), "through the proxy PROXY: it refuses the connection with the status 407"},
		"a proxy without a way":       {trusted, proxyOf(status(http.StatusBadGateway)), "through the proxy PROXY: it refuses the connection with the status 502"},
		"nobody at the proxy":         {trusted, "http://user:canary@127.0.0.1:1", "through the proxy PROXY: connection refused"},
		"a proxy that hangs up":       {trusted, proxyOf(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), "through the proxy PROXY: the connection was closed"},
	} {
		way := NewTransport(5*time.Second, func() (*x509.CertPool, error) { return test.roots, nil }).(*transport)
		way.proxy = func(*http.Request) (*url.URL, error) {
			if test.proxy == "" {
				return nil, nil //nolint:nilnil // net/http takes nil as no proxy
			}
			return url.Parse(test.proxy)
		}
		_, host, _ := strings.Cut(test.proxy, "@")
		assertAnswer(t, name, way, server.URL, strings.ReplaceAll(test.says, "PROXY", host))
	}
	before := connections.Load()
	way := NewTransport(5*time.Second, func() (*x509.CertPool, error) { return trusted, nil })
	for range 3 {
		assertAnswer(t, "one connection a request", way, server.URL, "")
	}
	if got := connections.Load() - before; got != 3 {
		t.Errorf("%d connections for 3 requests", got)
	}
	broken := NewTransport(5*time.Second, func() (*x509.CertPool, error) { return nil, errors.New("--ca-file: it is wrong") })
	assertAnswer(t, "no CAs", broken, server.URL, "--ca-file: it is wrong")
	noProxy := &transport{timeout: time.Second, proxy: func(*http.Request) (*url.URL, error) { return nil, errors.New("canary") }}
	assertAnswer(t, "a proxy that is no URL", noProxy, server.URL, "HTTPS_PROXY or HTTP_PROXY is not a URL")
}

func assertAnswer(t *testing.T, name string, way http.RoundTripper, url, says string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := (&http.Client{Transport: way}).Do(request)
	if err == nil {
		_ = answer.Body.Close()
	}
	said := ""
	if err != nil {
		said = Explain(err, 5*time.Second)
	}
	if (err == nil) != (says == "") || !strings.Contains(said, says) || strings.Contains(said, "canary") {
		t.Errorf("%s: %q, %v, want %q", name, said, err, says)
	}
}
