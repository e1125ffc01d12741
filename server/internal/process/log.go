// Package process is what the process is to its system: a program log that never blocks, and memory
// that other processes cannot read.
package process

import (
	"bytes"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// maxLines is how many lines wait for a slow reader.
	maxLines = 1024
	// flushTime is how long Close waits for that reader.
	flushTime = time.Second
)

// Log is a program log whose reader may be slow or absent. No call waits for the reader: when more
// than 1,024 lines are waiting, further lines are dropped and counted. It is also the collector of
// that count.
type Log struct {
	*slog.Logger
	prometheus.Collector

	out           io.Writer
	lines         chan []byte
	stop, stopped chan struct{}
	dropped       atomic.Uint64
	follower      atomic.Pointer[func(line []byte)]
}

// OpenLog returns a log that writes to out until it is closed. newLogger chooses level and format.
func OpenLog(out io.Writer, newLogger func(io.Writer) *slog.Logger) *Log {
	l := &Log{out: out, lines: make(chan []byte, maxLines), stop: make(chan struct{}), stopped: make(chan struct{})}
	l.Logger = newLogger(writerFunc(l.write))
	l.Collector = prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "chatidentity_log_lines_dropped_total",
		Help: "Lines of the program log that were dropped because standard error was not read in time. " +
			"When it moves: whoever collects the log is too slow.",
	}, func() float64 { return float64(l.dropped.Load()) })
	go l.run()
	return l
}

// Close waits up to a second for the lines to be read. Lines logged after it are lost.
func (l *Log) Close() {
	close(l.stop)
	select {
	case <-l.stopped:
	case <-time.After(flushTime):
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(line []byte) (int, error) { return f(line) }

// Follow has each line told as well, until another follows or stop is called. tell must not wait,
// and not keep the line.
func (l *Log) Follow(tell func(line []byte)) (stop func()) { //nolint:nonamedreturns // says what it is for
	l.follower.Store(&tell)
	return func() { l.follower.CompareAndSwap(&tell, nil) }
}

// write never waits.
func (l *Log) write(line []byte) (int, error) {
	if tell := l.follower.Load(); tell != nil {
		(*tell)(line)
	}
	select {
	case l.lines <- bytes.Clone(line):
	default:
		l.dropped.Add(1)
	}
	return len(line), nil
}

func (l *Log) run() {
	defer close(l.stopped)
	for reported := uint64(0); ; {
		select {
		case line := <-l.lines:
			_, _ = l.out.Write(line) // there is nowhere to report that the log failed
		case <-l.stop:
			l.flush()
			return
		}
		if dropped := l.dropped.Load(); dropped != reported && len(l.lines) == 0 {
			reported = dropped
			l.Warn("log lines were dropped: standard error was not read in time",
				"event", "log_lines_dropped", "total", dropped)
		}
	}
}

func (l *Log) flush() {
	for {
		select {
		case line := <-l.lines:
			_, _ = l.out.Write(line)
		default:
			return
		}
	}
}
