package writer

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

const (
	maxOpen    = 4 << 20 // bytes of the records that wait: about ten thousand
	joinRounds = 8       // at most so often calls are let run to join a batch
)

// batch is the records that are written and synced together.
type batch struct {
	bodies []byte // end to end, as audit.AppendBody made them
	ends   []int  // where each one ends
	opened time.Duration
	result *result
}

// result is what the calls of a batch wait for.
type result struct {
	done  chan struct{} // closed when err is known
	err   error         // why their records are not known to be durable
	late  chan struct{} // closed when the first of them has waited too long
	timer *time.Timer   // of late; nil: no call waits
}

func newResult() *result { return &result{done: make(chan struct{})} }

// limit bounds the wait of the calls, by one timer for all of them.
func (r *result) limit(timeout time.Duration) {
	if r.timer == nil {
		late := make(chan struct{})
		r.late, r.timer = late, time.AfterFunc(timeout, func() { close(late) })
	}
}

// finish tells the calls that wait. Calls that come later wait for another result.
func (b *batch) finish(err error) {
	b.result.err = err
	if b.result.timer != nil {
		b.result.timer.Stop()
	}
	close(b.result.done)
	b.result = newResult()
}

// queue holds the records that wait for the committer, in one batch, which is open.
type queue struct {
	now     func() time.Time
	timeout time.Duration // of a call's wait
	started time.Time
	wake    chan struct{} // has one when the open batch has had its first record

	mu     sync.Mutex
	open   *batch
	closed bool

	oldest atomic.Int64 // since started, when the oldest record that is not durable was added; 0: there is none
}

func newQueue(now func() time.Time, timeout time.Duration) *queue {
	return &queue{
		now: now, timeout: timeout, started: now(), wake: make(chan struct{}, 1), open: &batch{result: newResult()},
	}
}

var scratch = sync.Pool{New: func() any { return new([]byte) }}

// add copies a record into the open batch. own is for a record of the log itself, of which there are
// few: it is taken even when the queue is full or closed to calls.
func (q *queue) add(r *audit.Record, own bool) (*result, error) {
	body := scratch.Get().(*[]byte) //nolint:forcetypeassert // the pool holds nothing else
	defer scratch.Put(body)
	*body = audit.AppendBody((*body)[:0], r)

	q.mu.Lock()
	defer q.mu.Unlock()
	b := q.open
	if q.closed && !own {
		return nil, fmt.Errorf("%w: the log is closed", ErrUnavailable)
	}
	if len(b.bodies)+len(*body) > maxOpen && !own {
		return nil, fmt.Errorf("%w: too many records wait", ErrUnavailable)
	}
	b.bodies = append(b.bodies, *body...)
	b.ends = append(b.ends, len(b.bodies))
	if len(b.ends) == 1 {
		b.opened = max(q.now().Sub(q.started), 1)
		q.oldest.CompareAndSwap(0, int64(b.opened))
		q.signal()
	}
	if r.CarriesToken() {
		b.result.limit(q.timeout)
	}
	return b.result, nil
}

// size returns how many records the open batch has, and their bytes.
func (q *queue) size() (records, bytes int) { //nolint:nonamedreturns // says which is which
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.open.ends), len(q.open.bodies)
}

// signal wakes the committer.
func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take closes the open batch, or returns nil when it is empty. The next one uses the memory of
// spare.
func (q *queue) take(spare *batch) *batch {
	q.gather()
	q.mu.Lock()
	defer q.mu.Unlock()
	b := q.open
	if len(b.ends) == 0 {
		return nil
	}
	q.open = &batch{result: newResult()}
	if spare != nil {
		q.open.bodies, q.open.ends = spare.bodies[:0], spare.ends[:0]
	}
	return b
}

// gather lets the calls that are ready to run join the batch, as long as that makes it grow: one
// sync then serves more of them.
func (q *queue) gather() {
	joined := 0
	for range joinRounds {
		runtime.Gosched()
		q.mu.Lock()
		n := len(q.open.ends)
		q.mu.Unlock()
		if n == joined {
			return
		}
		joined = n
	}
}

// settle makes the open batch the oldest, since all before it are durable.
func (q *queue) settle() {
	q.mu.Lock()
	q.oldest.Store(int64(q.open.opened))
	q.mu.Unlock()
}

// refuse tells the calls of the open batch that their records cannot be written now. The records
// stay.
func (q *queue) refuse(err error) {
	q.mu.Lock()
	q.open.finish(err)
	q.mu.Unlock()
}

// close refuses what is not the log's own from now on. It reports whether it was open.
func (q *queue) close() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	wasOpen := !q.closed
	q.closed = true
	return wasOpen
}

// waited is how long the oldest record that is not durable has waited; 0: there is none.
func (q *queue) waited() time.Duration {
	oldest := q.oldest.Load()
	if oldest == 0 {
		return 0
	}
	return q.now().Sub(q.started) - time.Duration(oldest)
}
