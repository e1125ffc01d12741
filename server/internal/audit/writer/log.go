// Package writer writes the audit log: each call's record is durable before the
// reply that carries its token.
//
// One goroutine writes. Calls append their record to the open batch and wait;
// the writer takes the whole batch, seals it into the chain, writes and syncs
// it once, and releases all of them (group commit).
package writer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

// ErrUnavailable is wrapped by every error of Write and Available: the record
// is not known to be durable.
var ErrUnavailable = errors.New("audit unavailable")

// Log is an open audit log. Its methods may be called at the same time.
type Log struct {
	o       Options
	key     *audit.Key
	sink    sink
	chain   *audit.Chain // the writer's alone
	floods  *floods
	metrics *metrics
	started time.Time

	mu     sync.Mutex
	open   *batch
	closed bool
	timers sync.Pool // of the waiting calls

	oldest  atomic.Int64 // since started, when the oldest record not yet durable was handed in; 0: there is none
	failure atomic.Pointer[failure]
	dropped atomic.Uint64 // not yet told in a record

	wake    chan struct{}
	rotates chan chan error
	closing chan struct{}
	stopped chan struct{}
}

type failure struct{ err error }

// Open starts the log. An error is one line that names the flag to change: the
// file cannot be opened, is locked by another process or is no audit file. A
// sink that does not take records at the moment is no error: see Available.
func Open(o Options) (*Log, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	key, err := currentKey(o)
	if err != nil {
		return nil, err
	}
	m := newMetrics()
	s, from, err := openSink(o, m)
	if err != nil {
		return nil, err
	}
	l := &Log{
		o: o, key: key, sink: s, chain: audit.NewChain(key, from.Head), metrics: m, started: o.Now(),
		floods: newFloods(),
		open:   &batch{verdict: newVerdict()},
		wake:   make(chan struct{}, 1), rotates: make(chan chan error),
		closing: make(chan struct{}), stopped: make(chan struct{}),
	}
	if _, err := l.appendOwn(&audit.Record{Event: audit.EventStart, Outcome: audit.OutcomeOK, Reason: startReason(from, key)}); err != nil {
		return nil, err
	}
	go l.run()
	return l, nil
}

func currentKey(o Options) (*audit.Key, error) {
	if len(o.Keys) > 0 {
		return o.Keys[0], nil
	}
	o.Logger.Warn("no --audit-key-file: records are chained under a key of this process alone; " +
		"neither verify nor find by person will work on them later")
	return audit.NewEphemeralKey()
}

// startReason says in the chain.start record what the log found.
func startReason(from position, key *audit.Key) string {
	switch {
	case from.Seq == 0:
		return "NEW_CHAIN"
	case from.keyID != key.ID():
		return "KEY_CHANGED"
	default:
		return "RESTARTED"
	}
}

// Write hands a record over. For an issued token it returns once the record is
// durable as configured, or with an error that wraps ErrUnavailable when
// that took longer than Options.Timeout or ctx allows; the token must not be
// released then, though its record may still be written later. Everything else
// never waits: refusals and verifications are summarized, and counted when
// they cannot be kept. In best-effort mode nothing waits and the error is nil.
// The record is not used after Write returns.
func (l *Log) Write(ctx context.Context, r *audit.Record) error {
	if r.Time.IsZero() {
		r.Time = l.o.Now()
	}
	switch {
	case !r.CarriesToken():
		l.writeUnheld(r)
		return nil
	case l.o.Mode == ModeBestEffort:
		if _, err := l.append(r); err != nil {
			l.drop(1)
		}
		return nil
	}
	if err := l.Available(); err != nil {
		return err
	}
	v, err := l.append(r)
	if err != nil {
		return err
	}
	if f := l.failure.Load(); f != nil { // it failed since, and has told only those who were there
		return f.err
	}
	return l.wait(ctx, v)
}

// Available returns nil, or an error that wraps ErrUnavailable and says why a
// token could not be audited now: the last write failed, or a record has
// waited longer than the timeout. The log tries by itself until it is well
// again. In best-effort mode it is always available.
func (l *Log) Available() error {
	if l.o.Mode == ModeBestEffort {
		return nil
	}
	return l.state()
}

// Pseudonym returns what a record holds in place of a person's identifier:
// see Key.Pseudonym.
func (l *Log) Pseudonym(kind, value string) string { return l.key.Pseudonym(kind, value) }

// Rotate closes the file under a name of its own and goes on in a new one (on
// SIGHUP). It does nothing on standard output.
func (l *Log) Rotate(ctx context.Context) error {
	reply := make(chan error, 1)
	select {
	case l.rotates <- reply:
	case <-l.stopped:
		return fmt.Errorf("rotate the audit file: %w", ErrUnavailable)
	case <-ctx.Done():
		return fmt.Errorf("rotate the audit file: %w", ctx.Err())
	}
	select {
	case err := <-reply:
		return err
	case <-ctx.Done():
		return fmt.Errorf("rotate the audit file: %w", ctx.Err())
	}
}

// Close writes what is pending, logs the final head and releases the file. It
// gives up when ctx ends. Records handed in after it are refused.
func (l *Log) Close(ctx context.Context) error {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.closing)
	}
	l.mu.Unlock()
	select {
	case <-l.stopped:
		return l.state()
	case <-ctx.Done():
		return fmt.Errorf("close the audit log: %w: %w", ErrUnavailable, ctx.Err())
	}
}

// writeUnheld keeps a record that no reply waits for: as its own line, or in
// the count of its flood. While the sink is away it is counted only.
func (l *Log) writeUnheld(r *audit.Record) {
	if !l.floods.admit(l.o.Now(), r, l.state() == nil) {
		return
	}
	if _, err := l.append(r); err != nil {
		l.drop(1)
	}
}

// state is Available without regard to the mode.
func (l *Log) state() error {
	if f := l.failure.Load(); f != nil {
		return f.err
	}
	if oldest := l.oldest.Load(); oldest != 0 {
		if waited := l.o.Now().Sub(l.started) - time.Duration(oldest); waited > l.o.Timeout {
			return fmt.Errorf("%w: the sink has not answered for %v", ErrUnavailable, waited.Round(time.Millisecond))
		}
	}
	return nil
}
