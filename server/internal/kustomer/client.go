// Package kustomer is a client of the two endpoints of Kustomer's API that the sidecar needs: the
// chat settings, which hold the signing secret, and the user that an API key belongs to.
//
// It only ever sends GET. It never calls /v1/auth/tokens/current, whose documented verb deletes the
// key, nor /c/v1/identity, which changes customers.
package kustomer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/retry"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

const (
	settingsPath    = "/v1/auth/customer/settings"
	currentUserPath = "/v1/users/current"

	// maxAnswer bounds an answer's body, after decompression, in bytes.
	maxAnswer = 64 << 10
	// defaultTimeout bounds one request from dialling to the body's last byte.
	defaultTimeout = 10 * time.Second
	// phaseTimeout bounds dialling, and the TLS handshake.
	phaseTimeout = 5 * time.Second
)

// Options configure a Client. BaseURL and APIKey are required.
type Options struct {
	// BaseURL is the API's address, as ParseBaseURL returns it.
	BaseURL *url.URL
	// APIKey returns an administrator's key. It is called before each request, so the key may
	// change.
	APIKey func() (sensitive.String, error)
	// Timeout bounds one request as a whole. 0: 10 s.
	Timeout time.Duration
	// Transport sends the requests. Nil: that of retry, with the system's CAs.
	Transport http.RoundTripper
	// Now is the clock that Kustomer's is compared with. Nil: time.Now.
	Now func() time.Time
}

// Client asks Kustomer's API. Each call is one attempt, bounded by the timeout; when to try again
// is for the caller to decide (Pause, Retry). It is safe for concurrent use and keeps no connection
// open between calls.
type Client struct {
	options Options
	http    http.Client
}

// NewClient returns a client. It sends nothing yet.
func NewClient(options Options) (*Client, error) {
	if options.BaseURL == nil || options.APIKey == nil {
		return nil, errors.New("a client of Kustomer needs a base URL and an API key")
	}
	if options.Timeout <= 0 {
		options.Timeout = defaultTimeout
	}
	if options.Transport == nil {
		options.Transport = retry.NewTransport(phaseTimeout, nil)
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	return &Client{
		options: options,
		http:    http.Client{Transport: options.Transport, CheckRedirect: staysOnHost},
	}, nil
}

// Settings are the chat settings of an organization.
type Settings struct {
	// Secret is the key that chat tokens are signed with; never empty.
	Secret sensitive.String
	// Clock is what this answer says about Kustomer's clock.
	Clock Clock
}

// Settings reads the organization's chat settings once. An error is an *Error, or the context's
// when that ended.
func (c *Client) Settings(ctx context.Context) (Settings, error) {
	reply, err := c.get(ctx, settingsPath)
	if err != nil {
		return Settings{}, fmt.Errorf("reading the chat settings from Kustomer: %w", err)
	}
	secret, err := parseSecret(reply.body)
	if err != nil {
		return Settings{}, fmt.Errorf("reading the chat settings from Kustomer: %w", reply.unusable(err))
	}
	return Settings{Secret: secret, Clock: reply.clock}, nil
}

// User is the user that an API key acts as.
type User struct {
	// Roles are the key's roles. If RolesKnown is false, the answer did not contain them in the
	// expected place, which says nothing about the key.
	Roles      []string
	RolesKnown bool
	// Clock is what this answer says about Kustomer's clock.
	Clock Clock
}

// CurrentUser returns the user that the API key belongs to. It is a safe way to check a key. Errors
// are as for Settings.
func (c *Client) CurrentUser(ctx context.Context) (User, error) {
	reply, err := c.get(ctx, currentUserPath)
	if err != nil {
		return User{}, fmt.Errorf("asking Kustomer who the API key belongs to: %w", err)
	}
	roles, known, err := parseRoles(reply.body)
	if err != nil {
		return User{}, fmt.Errorf("asking Kustomer who the API key belongs to: %w", reply.unusable(err))
	}
	return User{Roles: roles, RolesKnown: known, Clock: reply.clock}, nil
}

// answer is a 200 response with its complete body.
type answer struct {
	host        string
	contentType string
	body        []byte
	clock       Clock
}

func (c *Client) get(ctx context.Context, path string) (answer, error) {
	key, err := c.apiKey()
	if err != nil {
		return answer{}, err
	}
	attempt, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	endpoint := c.options.BaseURL.JoinPath(path)
	request, err := http.NewRequestWithContext(attempt, http.MethodGet, endpoint.String(), http.NoBody)
	if err != nil {
		return answer{}, fmt.Errorf("building a request for %s: %w", endpoint.Host, err)
	}
	request.Header.Set("Authorization", "Bearer "+key.Reveal())
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "chatidentity")

	before := c.options.Now()
	response, err := c.http.Do(request)
	if err != nil {
		return answer{}, c.failed(ctx, endpoint.Host, err)
	}
	defer func() { _ = response.Body.Close() }()
	after := c.options.Now()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if response.StatusCode != http.StatusOK {
		return answer{}, refusal(response, body, key, after)
	}
	if err != nil {
		return answer{}, c.failed(ctx, endpoint.Host, err)
	}
	if len(body) > maxAnswer {
		return answer{}, &Error{Kind: KindAnswer, Host: endpoint.Host, explanation: "the answer is larger than 64 KiB"}
	}
	return answer{
		host:        endpoint.Host,
		contentType: response.Header.Get("Content-Type"),
		body:        body,
		clock:       readClock(response.Header, before, after),
	}, nil
}

// apiKey returns a key that is valid in a header. Errors never contain the key.
func (c *Client) apiKey() (sensitive.String, error) {
	key, err := c.options.APIKey()
	switch {
	case err != nil:
		return sensitive.String{}, &Error{Kind: KindKey, explanation: "the API key cannot be read", cause: err}
	case key.IsEmpty():
		return sensitive.String{}, &Error{Kind: KindKey, explanation: "the API key is empty"}
	}
	for _, char := range []byte(key.Reveal()) {
		if char <= ' ' || char >= 0x7f {
			return sensitive.String{}, &Error{
				Kind:        KindKey,
				explanation: "the API key holds white space or a character that no key has: it was not copied exactly",
			}
		}
	}
	return key, nil
}

// failed explains why there is no complete answer. If the context has ended, its cause is returned
// as it is: nothing is wrong with Kustomer.
func (c *Client) failed(ctx context.Context, host string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	explanation := cmp.Or(retry.Explain(err, c.options.Timeout), "what came back is not a valid HTTP answer")
	return &Error{Kind: KindNetwork, Host: host, explanation: explanation}
}
