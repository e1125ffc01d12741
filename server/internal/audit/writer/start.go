package writer

import (
	"errors"
	"fmt"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/outage"
)

// openEvery is how often a log tries to open that cannot be opened yet.
const openEvery = 500 * time.Millisecond

// Open starts the log. The error says in one line why it cannot: the file cannot be opened, another
// process has it, or it is no audit file. A sink that takes no records at the moment is not an
// error: see Available.
func Open(o Options) (*Log, error) {
	l, err := newLog(o)
	if err != nil {
		return nil, err
	}
	c, err := l.open()
	if err != nil {
		return nil, err
	}
	go c.run()
	return l, nil
}

// Start is Open, except that a log that cannot be opened now goes on trying, twice a second and at
// each Rotate; Opened says why it is not open yet. Until then what it would record is counted. The
// error is one of the options alone.
func Start(o Options) (*Log, error) {
	l, err := newLog(o)
	if err != nil {
		return nil, err
	}
	c, err := l.open()
	if err != nil {
		l.failure.Store(notOpen(err))
		go l.openLater()
		return l, nil
	}
	go c.run()
	return l, nil
}

// notOpen is the failure of a log that could not be opened yet.
func notOpen(cause error) *failure {
	return &failure{fmt.Errorf("%w: it cannot be opened yet: %w", ErrUnavailable, cause), cause}
}

// newLog returns a log that is not open.
func newLog(o Options) (*Log, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	l := &Log{
		o: o, queue: newQueue(o.Now, o.Timeout), floods: newFloods(), metrics: newMetrics(),
		rotates: make(chan chan error), closing: make(chan struct{}), stopped: make(chan struct{}),
	}
	l.outage = outage.New("audit", o.Logger, l.state)
	return l, nil
}

// open opens the sink and begins the chain, or changes nothing.
func (l *Log) open() (*committer, error) {
	if l.o.ReadKeys != nil {
		var err error
		if l.o.Keys, err = l.o.ReadKeys(); err != nil {
			return nil, err
		}
	}
	var from position
	var err error
	if l.sink, from, err = openSink(&l.o, l.metrics, func() { l.begin("FILE_CHANGED") }); err != nil {
		return nil, err
	}
	key, err := l.currentKey()
	if err != nil {
		return nil, err
	}
	if err := l.startCopy(); err != nil {
		return nil, errors.Join(err, l.sink.close())
	}
	l.key.Store(key)
	l.failure.Store(nil)
	l.begin(startReason(from, key))
	return newCommitter(l, from), nil
}

// startCopy begins to copy durable records, if that is configured. Records on standard output are not
// copied there.
func (l *Log) startCopy() error {
	if !l.o.Copy || l.o.File == Standard {
		return nil
	}
	to := l.o.copyTo
	if to == nil {
		standard, err := openStandard()
		if err != nil {
			return err
		}
		to = standard.w
	}
	l.copy = newCopier(to, nameOfStandard, &l.o, l.metrics, l.tellMissing)
	go l.copy.run()
	return nil
}

func (l *Log) currentKey() (*audit.Key, error) {
	if len(l.o.Keys) > 0 {
		return l.o.Keys[0], nil
	}
	l.o.Logger.Warn("no audit keys are configured: records are chained under a key of this process alone; "+
		"nobody can verify them later, or find a person in them", "event", "audit_key_missing")
	return audit.NewEphemeralKey()
}

// Opened returns nil once the log has been opened, and until then why it cannot be.
func (l *Log) Opened() error {
	if l.key.Load() != nil {
		return nil
	}
	if f := l.failure.Load(); f != nil {
		return f.cause
	}
	return nil // it has just been opened
}

// openLater opens the log once it can and runs it, until Close.
func (l *Log) openLater() {
	tick := time.NewTicker(openEvery)
	defer tick.Stop()
	for {
		var asked chan error // by Rotate
		select {
		case <-tick.C:
		case asked = <-l.rotates:
		case <-l.closing:
			l.loseCounts()
			close(l.stopped)
			return
		}
		c, err := l.open()
		if asked != nil {
			asked <- nil // no file, so nothing to rotate
		}
		if err == nil {
			c.run()
			return
		}
		if last := l.failure.Swap(notOpen(err)); last.cause.Error() != err.Error() {
			l.o.Logger.Error("the audit log cannot be opened yet", "event", "audit_not_opened", "error", err)
		}
	}
}

// loseCounts gives up what was counted before the log was open.
func (l *Log) loseCounts() {
	lost := uint64(0)
	for _, r := range l.floods.collect(l.o.Now().Add(time.Minute)) {
		lost += r.Count
	}
	if lost > 0 {
		l.drop(lost)
		l.o.Logger.Error("audit records were lost at stop", "event", "audit_records_lost",
			"records", lost, "error", l.Opened().Error())
	}
}
