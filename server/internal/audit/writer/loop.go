package writer

import (
	"fmt"
	"runtime"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

const (
	tickEvery  = time.Second
	retryEvery = 250 * time.Millisecond
	joinRounds = 8 // how often the writer lets runnable calls join its batch

)

// writer is the state of the goroutine that alone touches the sink.
type writer struct {
	*Log

	pending *batch // taken and not yet durable
	spare   *batch // whose memory the next one uses
	lines   []byte // of pending, sealed
	sealed  uint64 // records, by this process
	logged  uint64 // seq of the head that the program log has
	nextLog time.Time
}

func (l *Log) run() {
	defer close(l.stopped)
	w := &writer{Log: l, nextLog: l.started.Add(l.o.HeadInterval)}
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	retry := time.NewTimer(time.Hour)
	retry.Stop()
	for {
		wake := l.wake
		if w.pending != nil { // the sink is away: only the timer tries it again
			wake = nil
			retry.Reset(retryEvery)
		}
		select {
		case <-wake:
			l.gather()
			w.flush()
		case <-retry.C:
			w.flush()
		case <-tick.C:
			w.housekeep()
		case reply := <-l.rotates:
			reply <- w.rotate()
		case <-l.closing:
			w.drain()
			return
		}
	}
}

// gather lets the calls that are ready to run join the batch, as long as that
// makes it grow: one sync then serves more of them.
func (l *Log) gather() {
	joined := 0
	for range joinRounds {
		runtime.Gosched()
		l.mu.Lock()
		n := len(l.open.ends)
		l.mu.Unlock()
		if n == joined {
			return
		}
		joined = n
	}
}

// flush makes one batch durable: the one that failed last, or the open one.
func (w *writer) flush() {
	if w.pending == nil {
		if w.sink.full() {
			w.logHead("audit head at rotation")
			_ = w.sink.rotate(w.chain.Head()) // it logs why not, and goes on in the old file or has commit fail
		}
		if w.pending = w.take(w.spare); w.pending == nil {
			return
		}
		w.spare = nil
		w.seal()
	}
	start := time.Now()
	err := w.sink.commit(w.lines)
	w.metrics.commit.Observe(time.Since(start).Seconds())
	if err != nil {
		w.fail(err)
		return
	}
	w.succeed()
}

func (w *writer) seal() {
	b := w.pending
	w.lines = w.lines[:0]
	start := 0
	dropped := w.dropped.Swap(0)
	for _, end := range b.ends {
		w.lines = w.chain.Seal(w.lines, b.bodies[start:end], dropped)
		start, dropped = end, 0
		w.sealed++
	}
}

// fail refuses the calls that wait at once; their records are kept and tried
// again, because a part of them may already stand in the sink.
func (w *writer) fail(err error) {
	err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	if w.failure.Swap(&failure{err}) == nil {
		w.o.Logger.Error("audit records cannot be written", "error", err)
	}
	w.metrics.failures.Inc()
	w.pending.release(err)
	w.mu.Lock()
	w.open.release(err) // they joined while it failed
	w.mu.Unlock()
}

func (w *writer) succeed() {
	b := w.pending
	w.metrics.records.Add(float64(len(b.ends)))
	w.metrics.batch.Observe(float64(len(b.ends)))
	w.settle()
	if w.failure.Swap(nil) != nil {
		w.o.Logger.Info("audit records are written again")
		w.signal()
	}
	b.release(nil)
	w.pending, w.spare = nil, b
}

// signal wakes the writer for records that came while it ignored them.
func (l *Log) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (w *writer) rotate() error {
	if w.pending != nil {
		return w.failure.Load().err
	}
	w.flush()
	if w.pending != nil {
		return w.failure.Load().err
	}
	w.logHead("audit head at rotation")
	return w.sink.rotate(w.chain.Head())
}

// housekeep writes the summaries of past seconds, looks after the sink and
// logs the head.
func (w *writer) housekeep() {
	if w.pending != nil {
		return
	}
	w.summarize(w.o.Now())
	if w.sink.check() {
		if _, err := w.appendOwn(&audit.Record{Event: audit.EventStart, Outcome: audit.OutcomeOK, Reason: "FILE_CHANGED"}); err != nil {
			w.drop(1)
		}
	}
	w.flush()
	if now := w.o.Now(); now.After(w.nextLog) {
		w.nextLog = now.Add(w.o.HeadInterval)
		w.logHead("audit head")
	}
}

func (w *writer) summarize(now time.Time) {
	for _, r := range w.floods.flush(now) {
		if _, err := w.appendOwn(&r); err != nil {
			w.drop(r.Count)
		}
	}
}

// logHead signs off what has been written so far; nothing is logged twice.
func (w *writer) logHead(message string) {
	if w.pending != nil || w.chain.Head().Seq == w.logged {
		return
	}
	w.logged = w.chain.Head().Seq
	w.o.Logger.Info(message, "head", w.chain.Head().String(), "count", w.sealed,
		"instance", w.o.Instance, "key_id", w.key.ID())
}

// drain writes what is left, the summaries of the running second too.
func (w *writer) drain() {
	w.summarize(w.o.Now().Add(time.Minute))
	w.flush() // what failed last, or what is open
	if w.pending == nil {
		w.flush()
	}
	if w.pending != nil {
		w.abandon()
	}
	w.logHead("audit head at stop")
	if err := w.sink.close(); err != nil {
		w.o.Logger.Error("close the audit sink", "error", err)
	}
}

// abandon counts the records that the sink did not take to the end.
func (w *writer) abandon() {
	lost := len(w.pending.ends)
	err := w.failure.Load().err
	if b := w.take(nil); b != nil {
		lost += len(b.ends)
		b.release(err)
	}
	w.drop(uint64(lost))
	w.o.Logger.Error("audit records were lost at stop", "records", lost, "error", err)
}
