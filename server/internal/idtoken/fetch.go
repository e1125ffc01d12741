package idtoken

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"

	"github.com/chatidentity/chatidentity/server/internal/retry"
)

// maxKeysSize is the maximum size of a JWK set, in bytes. Real ones have a few thousand.
const maxKeysSize = 1 << 20

func newClient(transport http.RoundTripper) *http.Client {
	if transport == nil {
		transport = retry.NewTransport(loadTimeout, nil)
	}
	return &http.Client{
		Timeout: loadTimeout,
		// Each redirect would add a party that could give us keys, so a redirect is not followed.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     transport,
	}
}

// get returns the body of an answer. Errors hold nothing of it.
func (k *urlKeys) get(ctx context.Context) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	answer, err := k.client.Do(request)
	if err != nil {
		return nil, unanswered(err)
	}
	defer answer.Body.Close() //nolint:errcheck // nothing was written
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer has the status %d", answer.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxKeysSize+1))
	switch {
	case err != nil:
		return nil, unanswered(err)
	case len(text) > maxKeysSize:
		return nil, errors.New("the answer is larger than 1 MiB")
	default:
		return text, nil
	}
}

func unanswered(err error) error {
	return errors.New(cmp.Or(retry.Explain(err, loadTimeout), "what came back is not a valid HTTP answer"))
}

// checkURL allows http only for loopback addresses: whoever can change the answer can impersonate
// every user.
func checkURL(text string) error {
	parsed, err := url.Parse(text)
	if err != nil || parsed.Host == "" || parsed.User != nil || parsed.Fragment != "" {
		return errors.New("jwks_url must be an https URL without a user or a fragment")
	}
	host, addressErr := netip.ParseAddr(parsed.Hostname())
	loopback := parsed.Hostname() == "localhost" || addressErr == nil && host.IsLoopback()
	if parsed.Scheme != "https" && (parsed.Scheme != "http" || !loopback) {
		return errors.New("jwks_url must be https: http is allowed only for loopback addresses")
	}
	return nil
}
