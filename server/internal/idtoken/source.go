package idtoken

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"syscall"
)

// maxKeysSize bounds a JWK set, in bytes. Real ones have some thousands.
const maxKeysSize = 1 << 20

// source is where an issuer's keys are.
type source interface {
	read(ctx context.Context) ([]byte, error)
	String() string
}

func newSource(issuer Issuer) source {
	if issuer.JWKSFile != "" {
		return fileSource(issuer.JWKSFile)
	}
	return urlSource{issuer.JWKSURL, &http.Client{
		Timeout: loadTimeout,
		// Each redirect is one more party that could give us keys: the answer itself.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: loadTimeout}).DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    loadTimeout,
			DisableKeepAlives:      true, // minutes pass between two requests
			ForceAttemptHTTP2:      true,
			MaxResponseHeaderBytes: 64 << 10,
		},
	}}
}

type fileSource string

func (f fileSource) String() string { return string(f) }

func (f fileSource) read(context.Context) ([]byte, error) {
	file, err := os.OpenFile(string(f), os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe must not hold up a call
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // nothing was written
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	return readBounded(file)
}

type urlSource struct {
	url    string
	client *http.Client
}

func (u urlSource) String() string { return u.url }

func (u urlSource) read(ctx context.Context) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.url, http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	answer, err := u.client.Do(request)
	if err != nil {
		return nil, withoutURL(err)
	}
	defer answer.Body.Close() //nolint:errcheck // nothing was written
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer has the status %d", answer.StatusCode)
	}
	return readBounded(answer.Body)
}

// withoutURL drops the URL, which whoever reports the error names.
func withoutURL(err error) error {
	if failure, ok := errors.AsType[*url.Error](err); ok {
		return failure.Err
	}
	return err
}

func readBounded(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxKeysSize+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxKeysSize {
		return nil, errors.New("it is larger than 1 MiB")
	}
	return text, nil
}

// checkURL lets http through to loopback addresses alone: whoever can change the
// answer can be everybody.
func checkURL(text string) error {
	parsed, err := url.Parse(text)
	if err != nil || parsed.Host == "" || parsed.User != nil || parsed.Fragment != "" {
		return errors.New("jwks_url must be an https URL without a user and a fragment")
	}
	host, addressErr := netip.ParseAddr(parsed.Hostname())
	loopback := parsed.Hostname() == "localhost" || addressErr == nil && host.IsLoopback()
	if parsed.Scheme != "https" && (parsed.Scheme != "http" || !loopback) {
		return errors.New("jwks_url must be https: http is for loopback addresses alone")
	}
	return nil
}
