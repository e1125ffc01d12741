package main

import (
	"bytes"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chatidentity/chatidentity/server/internal/config"
)

const (
	// maxLogLines is how many lines wait for a reader who is slow.
	maxLogLines = 1024
	// logFlush is how long a stop waits for that reader.
	logFlush = time.Second
)

// programLog writes lines where somebody else may read slowly or not at all,
// so that no call waits for that reader: past maxLogLines they are dropped and
// counted.
type programLog struct {
	*slog.Logger
	prometheus.Collector

	out           io.Writer
	lines         chan []byte
	stop, stopped chan struct{}
	dropped       atomic.Uint64
}

// openLog writes to out until it is closed.
func openLog(c *config.Log, out io.Writer) *programLog {
	l := &programLog{out: out, lines: make(chan []byte, maxLogLines), stop: make(chan struct{}), stopped: make(chan struct{})}
	l.Logger = c.NewLogger(l)
	l.Collector = prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "chatidentity_log_lines_dropped_total",
		Help: "Lines of the program log that were dropped because standard error was not read in time.",
	}, func() float64 { return float64(l.dropped.Load()) })
	go l.run()
	return l
}

// Write never waits.
func (l *programLog) Write(line []byte) (int, error) {
	select {
	case l.lines <- bytes.Clone(line):
	default:
		l.dropped.Add(1)
	}
	return len(line), nil
}

func (l *programLog) run() {
	defer close(l.stopped)
	for told := uint64(0); ; {
		select {
		case line := <-l.lines:
			_, _ = l.out.Write(line) // there is nowhere to tell that the log failed
		case <-l.stop:
			l.flush()
			return
		}
		if dropped := l.dropped.Load(); dropped != told && len(l.lines) == 0 {
			told = dropped
			l.Warn("log lines were dropped: standard error was not read in time", "total", dropped)
		}
	}
}

func (l *programLog) flush() {
	for {
		select {
		case line := <-l.lines:
			_, _ = l.out.Write(line)
		default:
			return
		}
	}
}

// close waits, for a bounded time, until the lines are out. What is logged
// later is lost.
func (l *programLog) close() {
	close(l.stop)
	select {
	case <-l.stopped:
	case <-time.After(logFlush):
	}
}
