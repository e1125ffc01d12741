// Package reader reads audit logs: it verifies their chain and finds records in
// them, in bounded memory.
package reader

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

// progressEvery is how many lines pass between two calls of a Progress.
const progressEvery = 1 << 14

// Progress is told, now and then and at the end, how many bytes of the files
// and how many lines have been read.
type Progress func(bytes int64, lines uint64)

// Source is one file of records: as the log wrote it, or as a container
// runtime keeps it, with the CRI prefix before each line; either may be
// gzipped.
type Source struct {
	Name string
	Open func() (io.ReadCloser, error)
}

// Files returns the sources of paths; "-" is standard input.
func Files(paths ...string) []Source {
	sources := make([]Source, len(paths))
	for i, path := range paths {
		sources[i] = Source{Name: path, Open: func() (io.ReadCloser, error) {
			if path == "-" {
				return io.NopCloser(os.Stdin), nil
			}
			return os.Open(path) //nolint:gosec // the operator's path
		}}
	}
	return sources
}

// scanned is one line of a source, without prefix and newline.
type scanned struct {
	source string
	number int    // of the line, from 1
	text   []byte // valid until the next line
	torn   bool   // the source ends in the middle of it
	long   bool   // it is longer than a record can be, and not all here
}

// scanner reads sources line by line in bounded memory.
type scanner struct {
	progress Progress
	bytes    int64
	lines    uint64
	partial  []byte // the parts of a line that a container runtime has split
	parted   bool
}

// scan gives each line of the sources, in order, to visit.
func (s *scanner) scan(ctx context.Context, sources []Source, visit func(scanned) error) error {
	for _, source := range sources {
		if err := s.scanOne(ctx, source, visit); err != nil {
			return err
		}
	}
	s.report()
	return nil
}

func (s *scanner) report() {
	if s.progress != nil {
		s.progress(s.bytes, s.lines)
	}
}

func (s *scanner) scanOne(ctx context.Context, source Source, visit func(scanned) error) error {
	f, err := source.Open()
	if err != nil {
		return fmt.Errorf("read audit records: %w", err)
	}
	defer func() { _ = f.Close() }()
	r, err := s.reader(f)
	if err != nil {
		return fmt.Errorf("read %s: %w", source.Name, err)
	}
	s.partial, s.parted = s.partial[:0], false
	for number, ended := 1, false; !ended; number++ {
		v := scanned{source: source.Name, number: number}
		v.text, v.long, err = readLine(r)
		ended = errors.Is(err, io.EOF)
		if err != nil && !ended {
			return fmt.Errorf("read %s: %w", source.Name, err)
		}
		if !s.shows(&v, ended) {
			continue
		}
		if err := visit(v); err != nil {
			return err
		}
		if err := s.count(ctx); err != nil {
			return err
		}
	}
	return nil
}

// shows completes a line and reports whether there is one to show. At the end
// what has no newline is torn.
func (s *scanner) shows(v *scanned, ended bool) bool {
	v.torn = ended
	switch {
	case ended && len(v.text) == 0 && !s.parted:
		return false
	case s.join(v):
		return true
	case ended && s.parted:
		v.text = s.partial
		return true
	}
	return false
}

func (s *scanner) count(ctx context.Context) error {
	s.lines++
	if s.lines%progressEvery != 0 {
		return nil
	}
	s.report()
	return ctx.Err()
}

// reader counts the bytes of f and unpacks them if they are gzipped.
func (s *scanner) reader(f io.Reader) (*bufio.Reader, error) {
	r := bufio.NewReaderSize(&counted{f, &s.bytes}, 1<<16)
	if magic, _ := r.Peek(2); string(magic) != "\x1f\x8b" {
		return r, nil
	}
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	return bufio.NewReaderSize(z, 1<<16), nil
}

type counted struct {
	r io.Reader
	n *int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	*c.n += int64(n)
	return n, err
}

// readLine returns the next line without its newline. What passes the buffer
// is skipped, and long is true.
func readLine(r *bufio.Reader) (text []byte, long bool, err error) { //nolint:nonamedreturns // three of them
	text, err = r.ReadSlice('\n')
	for errors.Is(err, bufio.ErrBufferFull) {
		long = true
		_, err = r.ReadSlice('\n')
	}
	return bytes.TrimSuffix(text, []byte("\n")), long, err
}

// join takes the CRI prefix off a line and puts the parts of a split one
// together. It reports whether there is a line to show: one of standard error
// is none, and a part is none yet.
func (s *scanner) join(v *scanned) bool {
	stream, part, text, ok := cutCRI(v.text)
	switch {
	case !ok:
		return true
	case stream != "stdout":
		return false
	case !part && !s.parted:
		v.text = text
		return true
	}
	if !s.parted {
		s.partial = s.partial[:0]
	}
	if len(s.partial) <= audit.MaxLine { // longer ones are refused later, but not kept
		s.partial = append(s.partial, text...)
	}
	s.parted = part
	v.text = s.partial
	return !part
}

// cutCRI splits "2026-11-23T07:08:09.123456789Z stdout F text", the form of
// container logs in Kubernetes.
func cutCRI(b []byte) (stream string, part bool, text []byte, ok bool) { //nolint:nonamedreturns // four of them
	stamp, rest, ok1 := bytes.Cut(b, []byte(" "))
	name, rest, ok2 := bytes.Cut(rest, []byte(" "))
	tag, text, ok3 := bytes.Cut(rest, []byte(" "))
	if !ok1 || !ok2 || !ok3 || (string(tag) != "F" && string(tag) != "P") {
		return "", false, nil, false
	}
	if _, err := time.Parse(time.RFC3339Nano, string(stamp)); err != nil {
		return "", false, nil, false
	}
	return string(name), string(tag) == "P", text, true
}
