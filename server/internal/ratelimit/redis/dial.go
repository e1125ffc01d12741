package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// dialer makes every connection: to servers, to a Cluster's nodes and to Sentinels.
type dialer struct {
	place   *place
	options *Options
	clock   func() time.Duration // that never steps
}

// client returns one whose connections lead to what find names when each is made.
func (d *dialer) client(find func(context.Context) (string, error)) *goredis.Client {
	options := d.options.clientOptions()
	options.Username, options.DB = d.place.user, d.place.database
	options.CredentialsProviderContext = d.options.credentials(d.place.user)
	options.Dialer = func(ctx context.Context, _, _ string) (net.Conn, error) {
		address, err := find(ctx)
		if err != nil {
			return nil, err
		}
		return d.dial(ctx, address)
	}
	if d.place.master != "" {
		options.ConnMaxLifetime = maxLifetime
	}
	return goredis.NewClient(options)
}

// dial connects, and bounds what may be answered. A certificate may hold the server's own name or
// address, or that of the URL, which is all that a Cluster or a Sentinel that names addresses leaves
// to compare.
func (d *dialer) dial(ctx context.Context, address string) (net.Conn, error) {
	if !d.place.isTLS {
		conn, err := d.connect(ctx, address)
		if err != nil {
			return nil, err
		}
		return bounded(conn), nil
	}
	name, other := d.names(address)
	conn, err := d.handshake(ctx, address, name)
	if errors.As(err, new(x509.HostnameError)) && name != other {
		conn, err = d.handshake(ctx, address, other)
	}
	if err != nil {
		return nil, err
	}
	return bounded(conn), nil
}

// names returns what the certificate may hold, the likelier one first.
func (d *dialer) names(address string) (string, string) {
	own, _, _ := net.SplitHostPort(address)
	if net.ParseIP(own) != nil {
		return d.place.host(), own
	}
	return own, d.place.host()
}

func (d *dialer) handshake(ctx context.Context, address, name string) (net.Conn, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if d.options.TLS != nil {
		current, err := d.options.TLS()
		if err != nil {
			return nil, &fileError{"the TLS files", err}
		}
		config = current.Clone()
	}
	config.ServerName = name
	raw, err := d.connect(ctx, address)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, &handshakeError{err}
	}
	return conn, nil
}

// handshakeError is of a connection that stands, but whose TLS handshake failed.
type handshakeError struct{ cause error }

func (e *handshakeError) Error() string { return "TLS handshake: " + e.cause.Error() }
func (e *handshakeError) Unwrap() error { return e.cause }

func (d *dialer) connect(ctx context.Context, address string) (net.Conn, error) {
	return (&net.Dialer{Timeout: max(d.options.Timeout, connectTimeout)}).DialContext(ctx, d.place.network, address)
}
