package config

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
)

// maxFileSize bounds a file that is followed, in bytes.
const maxFileSize = 1 << 20

// Live is a value that is read from files and follows them. A change that is
// wrong leaves the last good value, is warned about once, and is counted. Value
// is lock-free; the rest is for one goroutine, that of Follow.
type Live[T any] struct {
	name    string // of the setting, for the log
	paths   []string
	parse   func(contents [][]byte, last *T) (*T, error)
	log     *slog.Logger
	reloads *prometheus.CounterVec

	value atomic.Pointer[T]
	tried reading // what the value was last parsed from
	seen  reading // what the files held at the last look
}

// reading is what the files held at one moment, or why they cannot be read.
type reading struct {
	contents [][]byte
	failure  string
}

// OpenLive reads the files, in the order of paths, and parses them for the first
// time. parse is given the last good value, nil at first. The metric
// chatidentity_KIND_reloads_total counts what becomes of each change. Errors name
// no content.
func OpenLive[T any](name, kind string, log *slog.Logger, parse func(contents [][]byte, last *T) (*T, error), paths ...string) (*Live[T], error) {
	l := &Live[T]{name: name, paths: paths, parse: parse, log: log, reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "chatidentity_" + kind + "_reloads_total",
		Help: "Changes of the files of " + name + " that were seen, by result: ok, or error for one that was not taken over.",
	}, []string{"result"})}
	for _, result := range []string{resultOK, resultError} {
		l.reloads.WithLabelValues(result)
	}
	now := read(paths)
	if err := l.take(now); err != nil {
		return nil, Usage("%s: %v", name, err)
	}
	return l, nil
}

// The results of a change.
const (
	resultOK    = "ok"
	resultError = "error"
)

// Value returns the last good value.
func (l *Live[T]) Value() *T { return l.value.Load() }

// Collector returns the metric of reloads.
func (l *Live[T]) Collector() prometheus.Collector { return l.reloads }

func (l *Live[T]) files() []string { return l.paths }

// look reads the files, and takes over what is new once it has been seen twice
// in a row: somebody may be writing. It reports whether to look again soon.
func (l *Live[T]) look() bool {
	now := read(l.paths)
	settled := now.equal(&l.seen)
	l.seen = now
	switch {
	case now.equal(&l.tried):
		return false
	case !settled:
		return true
	}
	if err := l.take(now); err != nil {
		l.log.Warn("a change was not taken over; the last good one stays", "setting", l.name, "error", err.Error())
		l.reloads.WithLabelValues(resultError).Inc()
		return false
	}
	l.log.Info("a change was taken over", "setting", l.name)
	l.reloads.WithLabelValues(resultOK).Inc()
	return false
}

func (l *Live[T]) take(now reading) error {
	l.tried, l.seen = now, now
	if now.failure != "" {
		return fmt.Errorf("%s", now.failure)
	}
	value, err := l.parse(now.contents, l.value.Load())
	if err != nil {
		return err
	}
	l.value.Store(value)
	return nil
}

func (r *reading) equal(other *reading) bool {
	if r.failure != other.failure || len(r.contents) != len(other.contents) {
		return false
	}
	for i := range r.contents {
		if !bytes.Equal(r.contents[i], other.contents[i]) {
			return false
		}
	}
	return true
}

func read(paths []string) reading {
	var r reading
	for _, path := range paths {
		content, err := ReadFile(path)
		if err != nil {
			return reading{failure: err.Error()}
		}
		r.contents = append(r.contents, content)
	}
	return r
}

// ReadFile reads a regular file of 1 byte to 1 MiB; anything else is an error that
// names the path. A file that is being written in place is empty for a moment.
func ReadFile(path string) ([]byte, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // nothing was written
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	content, err := io.ReadAll(io.LimitReader(file, maxFileSize+1))
	switch {
	case err != nil:
		return nil, err
	case len(content) == 0:
		return nil, fmt.Errorf("%s is empty", path)
	case len(content) > maxFileSize:
		return nil, fmt.Errorf("%s is larger than 1 MiB", path)
	default:
		return content, nil
	}
}
