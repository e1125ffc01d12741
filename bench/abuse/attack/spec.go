// Package attack is a raw HTTP/2 client that does what a good client never does.
// It touches the address it is given, stops by itself, and reports what it did.
package attack

import (
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// reconnectPause keeps an attacker whose connections are closed at once from
// being a flood of dials instead of what it is meant to be.
const reconnectPause = 5 * time.Millisecond

// Spec is one attack by one process.
type Spec struct {
	Attack      string        // a name of Names
	Network     string        // "tcp" or "unix"
	Address     string        // to connect to
	From        []string      // source addresses, in turn; none: the kernel's choice
	Connections int           // at the same time
	Length      time.Duration // after which it stops
	Bearer      string        // caller token; empty: none
	TLS         *TLS          // nil: plain text
}

// TLS is how an attacker speaks it.
type TLS struct {
	CA               []byte // that signed the server's certificate, in PEM
	Certificate, Key []byte // the attacker's own, in PEM; empty: none
}

// Report is what an attack did.
type Report struct {
	Connected int64 // connections that were opened
	Failed    int64 // that could not be opened
	Closed    int64 // that the server closed
	Sent      int64 // what the attack counts: calls, or frames of a flood
}

// Add adds what another process did.
func (r *Report) Add(other Report) {
	r.Connected += other.Connected
	r.Failed += other.Failed
	r.Closed += other.Closed
	r.Sent += other.Sent
}

// Names returns the attacks there are.
func Names() []string { return slices.Sorted(maps.Keys(attacks)) }

// Run attacks until spec.Length has passed or ctx ends.
func Run(ctx context.Context, spec Spec) (Report, error) {
	attack, known := attacks[spec.Attack]
	if !known {
		return Report{}, fmt.Errorf("no attack %q: there are %v", spec.Attack, Names())
	}
	config, err := spec.tlsConfig()
	if err != nil {
		return Report{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, spec.Length)
	defer cancel()
	a := &attacker{spec: spec, attack: attack, tls: config}
	var running sync.WaitGroup
	for i := range spec.Connections {
		running.Go(func() { a.keepAt(ctx, i) })
	}
	running.Wait()
	return Report{a.connected.Load(), a.failed.Load(), a.closed.Load(), a.sent.Load()}, nil
}

type attacker struct {
	spec   Spec
	attack attack
	tls    *tls.Config // nil: plain text

	connected, failed, closed, sent atomic.Int64
}

// keepAt attacks over one connection, and over another whenever it ends.
func (a *attacker) keepAt(ctx context.Context, number int) {
	for ctx.Err() == nil {
		a.once(ctx, number)
		select {
		case <-ctx.Done():
		case <-time.After(reconnectPause):
		}
	}
}

func (a *attacker) once(ctx context.Context, number int) {
	conn, err := a.dial(ctx, number)
	if err != nil {
		if ctx.Err() == nil {
			a.failed.Add(1)
		}
		return
	}
	defer conn.Close() //nolint:errcheck // an attacker is not polite
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	a.connected.Add(1)
	if err := a.attack.run(ctx, a, conn); err != nil && ctx.Err() == nil {
		a.closed.Add(1)
	}
}

func (a *attacker) dial(ctx context.Context, number int) (net.Conn, error) {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	if len(a.spec.From) > 0 {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(a.spec.From[number%len(a.spec.From)])}
	}
	conn, err := dialer.DialContext(ctx, a.spec.Network, a.spec.Address)
	if err != nil || a.tls == nil || a.attack.raw {
		return conn, err
	}
	secured := tls.Client(conn, a.tls)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secured, nil
}
