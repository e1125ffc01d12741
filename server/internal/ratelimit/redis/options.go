package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
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
	// URL is redis://[user@]host[:port][/db], rediss://… for TLS, or unix://[user@]/path[?db=n]. With
	// ?addr=host:port for each further node it is a Cluster's, with ?master_name=NAME the Sentinels'.
	// A password in it is an error.
	URL string
	// Password is called for each new connection, so the password may change. Nil means none.
	// Sentinels that ask for one get the same.
	Password func() (sensitive.String, error)
	// TLS is called for each new connection, so files may change. It is for rediss only; nil trusts
	// the system's roots. A server's certificate must hold its own name or that of the URL's host.
	TLS func() (*tls.Config, error)
	// KeySecret returns what keys the pseudonyms under which budgets are stored, once it is there. It
	// has at least 16 bytes and is the same in all replicas.
	KeySecret func() (sensitive.String, error)
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
	// maxLifetime is how long a connection lasts that a Sentinel has named. A primary that is cut off
	// from its Sentinels goes on answering after they have made another one.
	maxLifetime = 30 * time.Second
)

// ErrPrefix is the error of a prefix that cannot be used.
var ErrPrefix = errors.New("the prefix is empty or has a brace in it")

func (o *Options) validate() error {
	switch {
	case o.Prefix == "" || strings.ContainsAny(o.Prefix, "{}"):
		return ErrPrefix
	case o.Timeout <= 0:
		return errors.New("the timeout is not positive")
	case o.KeySecret == nil || o.Log == nil || o.Jitter == nil:
		return errors.New("key secret, log and jitter are required")
	}
	return nil
}

// clientOptions leave go-redis no wait of its own: it tries once, under the decision's deadline. It
// speaks RESP2 and does not introduce itself, so that a user may be allowed the script's commands
// alone.
func (o *Options) clientOptions() *goredis.Options {
	return &goredis.Options{
		MaxRetries:               -1,
		DialerRetries:            1,
		DialTimeout:              max(o.Timeout, connectTimeout),
		ReadTimeout:              o.Timeout,
		WriteTimeout:             o.Timeout,
		PoolTimeout:              o.Timeout,
		ContextTimeoutEnabled:    true,
		PoolSize:                 poolSize,
		ConnMaxIdleTime:          maxIdle,
		PipelinePoolSize:         -1,
		ReadBufferSize:           4096,
		WriteBufferSize:          4096,
		Protocol:                 2,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

// credentials are those of the URL's user, with the current password.
func (o *Options) credentials(user string) func(context.Context) (string, string, error) {
	if o.Password == nil {
		return nil
	}
	return func(context.Context) (string, string, error) {
		password, err := o.Password()
		if err != nil {
			err = &fileError{"the password", err}
		}
		return user, password.Reveal(), err
	}
}

// fileError is of a file that a connection needs. It holds nothing that a server said.
type fileError struct {
	what  string
	cause error
}

func (e *fileError) Error() string { return e.what + " cannot be read: " + e.cause.Error() }
func (e *fileError) Unwrap() error { return e.cause }
