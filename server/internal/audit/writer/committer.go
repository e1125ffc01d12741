package writer

import (
	"fmt"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

const (
	tickEvery  = time.Second
	retryEvery = 250 * time.Millisecond
	headEvery  = time.Minute // between heads in the program log
)

// committer is the goroutine that alone touches the sink and the chain.
type committer struct {
	*Log

	chain   *audit.Chain
	pending *batch // taken and not yet durable
	spare   *batch // whose memory the next one uses
	lines   []byte // of pending, sealed

	sealed   uint64 // records of this process
	logged   uint64 // seq of the last head in the program log
	nextHead time.Time
}

func newCommitter(l *Log, from position) *committer {
	return &committer{Log: l, chain: audit.NewChain(l.key.Load(), from.Head), nextHead: l.queue.started.Add(headEvery)}
}

func (c *committer) run() {
	defer close(c.stopped)
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	retry := time.NewTimer(time.Hour)
	retry.Stop()
	for {
		wake := c.queue.wake
		if c.pending != nil { // the sink is away: only the timer tries it again
			wake = nil
			retry.Reset(retryEvery)
		}
		select {
		case <-wake:
			c.commit()
		case <-retry.C:
			c.commit()
		case <-tick.C:
			c.housekeep()
		case reply := <-c.rotates:
			reply <- c.rotate()
		case <-c.closing:
			c.drain()
			return
		}
	}
}

// commit makes one batch durable: the one that failed last, or the open one.
func (c *committer) commit() {
	if c.pending == nil {
		c.seal()
	}
	if c.pending == nil {
		return
	}
	start := time.Now()
	err := c.sink.commit(c.lines)
	c.metrics.commit.Observe(time.Since(start).Seconds())
	if err != nil {
		c.fail(err)
		return
	}
	c.succeed()
}

// seal takes the open batch, unless it is empty, and makes the lines of its records.
func (c *committer) seal() {
	if c.sink.full() {
		c.logHead("audit head at rotation")
		_ = c.sink.rotate(c.chain.Head()) // it logs why not, and goes on in the old file or has commit fail
	}
	b := c.queue.take(c.spare)
	if b == nil {
		return
	}
	c.pending, c.spare, c.lines = b, nil, c.lines[:0]
	start := 0
	dropped := c.dropped.Swap(0)
	for _, end := range b.ends {
		c.lines = c.chain.Seal(c.lines, b.bodies[start:end], dropped)
		start, dropped = end, 0
	}
	c.sealed += uint64(len(b.ends))
}

// fail refuses the calls that wait at once. Their records are kept and tried again, because some of
// them may already stand in the sink.
func (c *committer) fail(err error) {
	err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	c.failure.Store(&failure{err: err})
	c.outage.Look()
	c.metrics.failures.Inc()
	c.pending.finish(err)
	c.queue.refuse(err) // those that joined while it failed
}

func (c *committer) succeed() {
	b := c.pending
	if c.copy != nil {
		c.copy.offer(c.lines, len(b.ends))
	}
	c.metrics.records.Add(float64(len(b.ends)))
	c.metrics.batch.Observe(float64(len(b.ends)))
	c.queue.settle()
	if c.failure.Swap(nil) != nil {
		c.queue.signal() // for the records that came while it was not listened to
	}
	c.outage.Look()
	b.finish(nil)
	c.pending, c.spare = nil, b
}

func (c *committer) rotate() error {
	if c.pending == nil {
		c.commit()
	}
	if c.pending != nil {
		return c.failure.Load().err
	}
	c.logHead("audit head at rotation")
	return c.sink.rotate(c.chain.Head())
}

// housekeep writes the summaries of past seconds, looks after the sink and logs the head.
func (c *committer) housekeep() {
	if c.pending != nil {
		return
	}
	c.summarize(c.o.Now())
	c.sink.check()
	c.commit()
	if now := c.o.Now(); now.After(c.nextHead) {
		c.nextHead = now.Add(headEvery)
		c.logHead("audit head")
	}
}

func (c *committer) summarize(now time.Time) {
	for _, r := range c.floods.collect(now) {
		c.addOwn(&r)
	}
}

// logHead puts the place of the last record into the program log, unless it is already there.
func (c *committer) logHead(message string) {
	head := c.chain.Head()
	if c.pending != nil || head.Seq == c.logged {
		return
	}
	c.logged = head.Seq
	c.o.Logger.Info(message, "event", "audit_head",
		"head", head.String(), "count", c.sealed, "instance", c.o.Instance, "key_id", c.key.Load().ID())
}

// drain writes what is left, including the summaries of the running second.
func (c *committer) drain() {
	c.summarize(c.o.Now().Add(time.Minute))
	c.commit() // what failed last, or what is open
	if c.pending == nil {
		c.commit()
	}
	c.endCopy()
	if c.pending != nil {
		c.abandon()
	}
	c.logHead("audit head at stop")
	if err := c.sink.close(); err != nil {
		c.o.Logger.Error("the audit sink did not close well", "event", "audit_close_failed", "error", err.Error())
	}
}

// endCopy lets the copy catch up, and records what is missing from it.
func (c *committer) endCopy() {
	if c.copy == nil {
		return
	}
	missing := c.copy.close()
	c.copy = nil
	if missing > 0 {
		c.o.Logger.Error("audit records are missing from the copy at stop",
			"event", "audit_copy_incomplete", "records", missing)
		c.tellMissing(missing)
	}
	if c.pending == nil {
		c.commit() // also the record of a gap that has ended meanwhile
	}
}

// abandon counts the records that the sink did not take before the end.
func (c *committer) abandon() {
	lost := len(c.pending.ends)
	err := c.failure.Load().err
	if b := c.queue.take(nil); b != nil {
		lost += len(b.ends)
		b.finish(err)
	}
	c.drop(uint64(lost))
	c.o.Logger.Error("audit records were lost at stop", "event", "audit_records_lost",
		"records", lost, "error", err.Error())
}
