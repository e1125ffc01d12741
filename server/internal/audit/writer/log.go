// Package writer writes the audit log: the record of a call is durable before the reply that
// carries its token.
//
// One goroutine writes. Calls add their record to the open batch of a queue and wait; the committer
// takes the whole batch, seals it into the chain, writes and syncs it once, and tells all of them
// (group commit).
package writer

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/outage"
)

// ErrUnavailable is wrapped by every error of Write and Available: the record is not known to be
// durable.
var ErrUnavailable = errors.New("audit unavailable")

// Log is an audit log. Its methods are safe for concurrent use.
type Log struct {
	o       Options
	key     atomic.Pointer[audit.Key] // nil until the log is open
	sink    sink                      // the committer's alone
	queue   *queue
	floods  *floods
	metrics *metrics
	copy    *copier // of durable records; nil: none is made

	failure atomic.Pointer[failure] // of the opening or the last commit; nil: it went well
	outage  *outage.Outage          // of the sink, whether it fails or hangs
	dropped atomic.Uint64           // records lost since the last one that says so

	rotates chan chan error
	closing chan struct{}
	stopped chan struct{}
}

type failure struct {
	err   error // wraps ErrUnavailable
	cause error // of a log that could not be opened
}

// startReason says in the first chain.start record what the log found.
func startReason(from position, key *audit.Key) string {
	switch {
	case from.untrusted:
		return "UNTRUSTED_TAIL"
	case from.Seq == 0:
		return "NEW_CHAIN"
	case from.keyID != key.ID():
		return "KEY_CHANGED"
	default:
		return "RESTARTED"
	}
}

// begin adds a chain.start record.
func (l *Log) begin(reason string) {
	l.addOwn(&audit.Record{
		AuditID: audit.NewID(l.o.Now(), nil), Event: audit.EventStart, Outcome: audit.OutcomeOK, Reason: reason,
	})
}

// tellMissing adds a record that says how many records are missing from the copy.
func (l *Log) tellMissing(missing uint64) {
	l.addOwn(&audit.Record{
		AuditID: audit.NewID(l.o.Now(), nil), Event: audit.EventCopyGap, Outcome: audit.OutcomeOK, Count: missing,
	})
}

// Write hands a record over. For an issued token it returns once the record is durable as
// configured, or with an error that wraps ErrUnavailable when ctx ends before, or when
// Options.Timeout has passed since the first record came that is written with this one. The token
// must then not be released, though its record may still be written later. Everything else never
// waits: refusals and verifications are summarized. In best-effort mode nothing waits and the error
// is nil.
//
// Write sets r.AuditID to the one that leads to what is written of the call: its own, or that of the
// summary that counts it. It does not use the record after it returns.
func (l *Log) Write(ctx context.Context, r *audit.Record) error {
	if r.AuditID == "" {
		r.AuditID = audit.NewID(l.o.Now(), nil)
	}
	switch {
	case !r.CarriesToken():
		l.writeUnheld(r)
		return nil
	case l.o.Mode == ModeBestEffort:
		if _, err := l.add(r, false); err != nil {
			l.drop(1)
		}
		return nil
	}
	if err := l.Available(); err != nil {
		return l.refuse(r, err)
	}
	written, err := l.add(r, false)
	if err != nil {
		return l.refuse(r, err)
	}
	if f := l.failure.Load(); f != nil { // it failed since, and told only the calls that were there
		return f.err
	}
	return l.wait(ctx, written)
}

// Available returns nil, or an error that wraps ErrUnavailable and says why a token could not be
// audited now: the log is not open yet, the last write failed, or a record has waited longer than the
// timeout. The log tries by itself until it works again. In best-effort mode it is always available
// once it is open.
func (l *Log) Available() error {
	if l.o.Mode == ModeBestEffort {
		return l.Opened()
	}
	err := l.state()
	if err != nil {
		l.outage.Look() // no call is refused before the outage is announced
	}
	return err
}

// Outage is that of the sink, in either mode.
func (l *Log) Outage() *outage.Outage { return l.outage }

// Pseudonym returns what a record holds in place of a person's identifier: see
// [audit.Key.Pseudonym]. It is empty until the log is open.
func (l *Log) Pseudonym(kind, value string) string {
	key := l.key.Load()
	if key == nil {
		return ""
	}
	return key.Pseudonym(kind, value)
}

// Rotate closes the file under a name of its own and goes on in a new one. It does nothing on
// standard output.
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

// Close writes what is pending, logs the last head and releases the file. It gives up when ctx
// ends. Records handed over after it are refused.
func (l *Log) Close(ctx context.Context) error {
	if l.queue.close() {
		close(l.closing)
	}
	select {
	case <-l.stopped:
		if l.Opened() != nil {
			return nil //nolint:nilerr // there was nothing to write to
		}
		return l.state()
	case <-ctx.Done():
		return fmt.Errorf("close the audit log: %w: %w", ErrUnavailable, ctx.Err())
	}
}

// writeUnheld keeps a record that no reply waits for: as its own line, or in the count of its
// flood. While the sink is away it is only counted.
func (l *Log) writeUnheld(r *audit.Record) {
	now := l.o.Now()
	if !l.floods.admit(now, r, l.state() == nil) {
		return
	}
	if _, err := l.add(r, false); err != nil {
		_ = l.floods.admit(now, r, false)
	}
}

// refuse counts the call of a token whose record was not taken as the refusal that it becomes.
func (l *Log) refuse(r *audit.Record, cause error) error {
	r.Outcome, r.Reason = audit.OutcomeUnavailable, audit.ReasonUnavailable
	_ = l.floods.admit(l.o.Now(), r, false)
	return cause
}

// addOwn adds a record of the log itself, which the queue always takes.
func (l *Log) addOwn(r *audit.Record) { _, _ = l.add(r, true) }

// add fills in what every record has, and hands it to the queue.
func (l *Log) add(r *audit.Record, own bool) (*result, error) {
	if r.Time.IsZero() {
		r.Time = l.o.Now()
	}
	r.Instance = l.o.Instance
	return l.queue.add(r, own)
}

// wait returns when there is a result, or the deadline has passed.
func (l *Log) wait(ctx context.Context, written *result) error {
	select {
	case <-written.done:
		return written.err
	case <-ctx.Done():
		return fmt.Errorf("%w: the call ended before its record was durable: %w", ErrUnavailable, ctx.Err())
	case <-written.late:
		l.metrics.timeouts.Inc()
		l.outage.Look()
		return fmt.Errorf("%w: the record was not durable within %v", ErrUnavailable, l.o.Timeout)
	}
}

// state is Available without regard to the mode.
func (l *Log) state() error {
	if f := l.failure.Load(); f != nil {
		return f.err
	}
	if waited := l.queue.waited(); waited > l.o.Timeout {
		return fmt.Errorf("%w: the sink has not answered for %v", ErrUnavailable, waited.Round(time.Millisecond))
	}
	return nil
}

func (l *Log) drop(n uint64) {
	l.dropped.Add(n)
	l.metrics.dropped.Add(float64(n))
}
