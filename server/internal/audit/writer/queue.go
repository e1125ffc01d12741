package writer

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

// maxOpen bounds the bytes of the records that wait for the writer: about ten
// thousand.
const maxOpen = 4 << 20

// batch is the records that are written and synced together. While it is open
// Log.mu guards it; after that it is the writer's.
type batch struct {
	bodies  []byte // end to end, as AppendBody made them
	ends    []int  // where each one ends
	opened  time.Duration
	verdict *verdict
}

// verdict is what the calls of a batch wait for.
type verdict struct {
	done chan struct{} // publishes err
	err  error         // why their records are not known to be durable
}

func newVerdict() *verdict { return &verdict{done: make(chan struct{})} }

// release tells the calls that wait. Those that come later wait for another
// verdict.
func (b *batch) release(err error) {
	b.verdict.err = err
	close(b.verdict.done)
	b.verdict = newVerdict()
}

var scratch = sync.Pool{New: func() any { return new([]byte) }}

// append adds a call's record to the open batch and wakes the writer.
func (l *Log) append(r *audit.Record) (*verdict, error) { return l.enqueue(r, false) }

// appendOwn adds one of the log itself, which may still make some when it is
// closed to calls.
func (l *Log) appendOwn(r *audit.Record) (*verdict, error) { return l.enqueue(r, true) }

func (l *Log) enqueue(r *audit.Record, own bool) (*verdict, error) {
	if r.AuditID == "" {
		r.AuditID = audit.NewID(l.o.Now(), nil)
	}
	if r.Time.IsZero() {
		r.Time = l.o.Now()
	}
	r.Instance = l.o.Instance
	body := scratch.Get().(*[]byte) //nolint:forcetypeassert // the pool holds nothing else
	*body = audit.AppendBody((*body)[:0], r)
	v, err := l.join(*body, own)
	scratch.Put(body)
	return v, err
}

// join copies a body into the open batch.
func (l *Log) join(body []byte, own bool) (*verdict, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.open
	if l.closed && !own {
		return nil, fmt.Errorf("%w: the log is closed", ErrUnavailable)
	}
	if len(b.bodies)+len(body) > maxOpen {
		return nil, fmt.Errorf("%w: too many records wait", ErrUnavailable)
	}
	b.bodies = append(b.bodies, body...)
	b.ends = append(b.ends, len(b.bodies))
	if len(b.ends) == 1 {
		b.opened = max(l.o.Now().Sub(l.started), 1)
		l.oldest.CompareAndSwap(0, int64(b.opened))
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
	return b.verdict, nil
}

// take closes the open batch, or returns nil when it is empty.
func (l *Log) take(reuse *batch) *batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.open
	if len(b.ends) == 0 {
		return nil
	}
	next := &batch{verdict: newVerdict()}
	if reuse != nil {
		next.bodies, next.ends = reuse.bodies[:0], reuse.ends[:0]
	}
	l.open = next
	return b
}

// settle moves the age of the oldest record on once a batch is durable.
func (l *Log) settle() {
	l.mu.Lock()
	l.oldest.Store(int64(l.open.opened))
	l.mu.Unlock()
}

// wait returns when there is a verdict, or the deadline has passed.
func (l *Log) wait(ctx context.Context, v *verdict) error {
	t, ok := l.timers.Get().(*time.Timer)
	if ok {
		t.Reset(l.o.Timeout)
	} else {
		t = time.NewTimer(l.o.Timeout)
	}
	defer func() {
		t.Stop()
		l.timers.Put(t)
	}()
	select {
	case <-v.done:
		return v.err
	case <-ctx.Done():
		return fmt.Errorf("%w: the call ended before its record was durable: %w", ErrUnavailable, ctx.Err())
	case <-t.C:
		l.metrics.timeouts.Inc()
		return fmt.Errorf("%w: the record was not durable within %v", ErrUnavailable, l.o.Timeout)
	}
}

func (l *Log) drop(n uint64) {
	l.dropped.Add(n)
	l.metrics.dropped.Add(float64(n))
}
