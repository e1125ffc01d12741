package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

// Failure says how calls are decided while Redis does not answer.
type Failure uint8

const (
	// FailLocal decides by what this process has counted, so n replicas admit up to n budgets.
	FailLocal Failure = iota
	// FailClosed refuses with [ErrUnavailable].
	FailClosed
)

// String returns "local" or "closed".
func (f Failure) String() string {
	if f == FailClosed {
		return "closed"
	}
	return "local"
}

// UnmarshalText reads "local" or "closed", in any case.
func (f *Failure) UnmarshalText(text []byte) error {
	switch strings.ToLower(string(text)) {
	case "local":
		*f = FailLocal
	case "closed":
		*f = FailClosed
	default:
		return fmt.Errorf("%q is neither local nor closed", text)
	}
	return nil
}

// Options say which server to ask, and how.
type Options struct {
	// URL is redis://[user@]host[:port][/db], rediss://… for TLS, or unix://[user@]/path[?db=n]. A
	// password in it is an error.
	URL string
	// Password is called for each new connection, so the password may change. Nil means none.
	Password func() (sensitive.String, error)
	// TLS is for rediss only; nil trusts the system's roots. The server's name is the URL's host
	// unless it is set here.
	TLS *tls.Config
	// KeySecret keys the pseudonyms under which budgets are stored. It has at least 16 bytes and is
	// the same in all replicas.
	KeySecret sensitive.String
	// Prefix starts every key, followed by a colon. Replicas that share budgets have the same.
	Prefix string
	// Timeout is the longest that a decision waits. It must be positive.
	Timeout time.Duration
	Failure Failure
	// Log gets a line when the server first answers, and one for the begin and end of each outage.
	Log *slog.Logger
	// Jitter returns numbers in [0,1) that spread the replicas' attempts to reach a dead server:
	// [math/rand/v2.Float64] outside tests.
	Jitter func() float64
}

const (
	minKeySecret = 16
	// poolSize is the number of connections kept. Each carries one decision at a time, which makes
	// 32,000 a second at a round trip of 1 ms.
	poolSize = 32
	// connectTimeout bounds a new connection's dial and TLS handshake. No call waits longer for it
	// than Options.Timeout: connecting goes on in the background.
	connectTimeout = time.Second
	// maxIdle is shorter than what the usual load balancers tolerate, which drop idle connections
	// silently.
	maxIdle = 4 * time.Minute
)

// ErrPrefix is the error of a prefix that cannot be used.
var ErrPrefix = errors.New("the prefix is empty or has a brace in it")

func (o *Options) validate() error {
	switch {
	case len(o.KeySecret.Reveal()) < minKeySecret:
		return fmt.Errorf("the key secret is shorter than %d bytes", minKeySecret)
	case o.Prefix == "" || strings.ContainsAny(o.Prefix, "{}"):
		return ErrPrefix
	case o.Timeout <= 0:
		return errors.New("the timeout is not positive")
	case o.Log == nil || o.Jitter == nil:
		return errors.New("log and jitter are required")
	}
	return nil
}

// client returns the settings for go-redis. Errors never repeat the URL, which may hold a password.
func (o *Options) client() (*goredis.Options, error) {
	const form = "want redis://[user@]host[:port][/db], rediss://… or unix:///path[?db=n]"
	u, err := url.Parse(o.URL)
	if err != nil {
		return nil, errors.New("the URL cannot be read; " + form)
	}
	if _, found := u.User.Password(); found {
		return nil, errors.New("the URL holds a password: put it in a file instead")
	}
	for name := range u.Query() {
		if name != "db" {
			return nil, fmt.Errorf("the URL has parameter %q; %s", name, form)
		}
	}
	options, err := goredis.ParseURL(o.URL)
	if err != nil {
		return nil, errors.New("the URL cannot be used; " + form)
	}
	if err := o.setTLS(options, u.Scheme); err != nil {
		return nil, err
	}
	o.setCredentials(options)
	o.setWaiting(options)
	return options, nil
}

func (o *Options) setTLS(options *goredis.Options, scheme string) error {
	if o.TLS == nil {
		return nil
	}
	if scheme != "rediss" {
		return errors.New("TLS is configured, but the URL is not rediss://")
	}
	name := options.TLSConfig.ServerName
	options.TLSConfig = o.TLS.Clone()
	if options.TLSConfig.ServerName == "" {
		options.TLSConfig.ServerName = name
	}
	return nil
}

func (o *Options) setCredentials(options *goredis.Options) {
	user := options.Username
	if o.Password == nil {
		return
	}
	options.CredentialsProviderContext = func(context.Context) (string, string, error) {
		password, err := o.Password()
		if err != nil {
			err = &passwordError{err}
		}
		return user, password.Reveal(), err
	}
}

// passwordError holds nothing that a server said.
type passwordError struct{ cause error }

func (e *passwordError) Error() string { return "the password cannot be read: " + e.cause.Error() }
func (e *passwordError) Unwrap() error { return e.cause }

// setWaiting leaves go-redis no wait of its own: it tries once, under the decision's deadline. It
// speaks RESP2 and does not introduce itself, so that a user may be allowed the script's commands
// alone.
func (o *Options) setWaiting(options *goredis.Options) {
	options.MaxRetries = -1
	options.Dialer = boundedDialer(options)
	options.DialerRetries = 1
	options.DialTimeout = max(o.Timeout, connectTimeout)
	options.ReadTimeout = o.Timeout
	options.WriteTimeout = o.Timeout
	options.PoolTimeout = o.Timeout
	options.ContextTimeoutEnabled = true
	options.PoolSize = poolSize
	options.ConnMaxIdleTime = maxIdle
	options.PipelinePoolSize = -1
	options.ReadBufferSize = 4096
	options.WriteBufferSize = 4096
	options.Protocol = 2
	options.DisableIdentity = true
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}
