// Package reader reads audit logs in bounded memory: it verifies their chain and finds records.
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

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

const (
	progressEvery = 1 << 14 // lines between two calls of a Progress
	bufferSize    = 1 << 16
)

// Progress is told, now and then and at the end, how many bytes of the files and how many lines
// have been read.
type Progress func(bytes int64, lines uint64)

// Source is one file of records: as the log wrote it, or as a container runtime keeps it, with the
// CRI prefix before each line. Either may be gzipped.
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

// scanner reads sources line by line.
type scanner struct {
	progress Progress
	bytes    int64
	lines    uint64
	parts    []byte // what has come of a line that a container runtime has split
	parted   bool   // more of it is to come
}

// scan passes each line of the sources, in order, to visit.
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
	r, err := s.unpack(f)
	if err != nil {
		return fmt.Errorf("read %s: %w", source.Name, err)
	}
	s.parts, s.parted = s.parts[:0], false
	for number, ended := 1, false; !ended; number++ {
		v := scanned{source: source.Name, number: number}
		err := v.read(r)
		ended = errors.Is(err, io.EOF)
		if err != nil && !ended {
			return fmt.Errorf("read %s: %w", source.Name, err)
		}
		if !s.complete(&v, ended) {
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

// complete reports whether there is a line to visit. At the end, a line without newline is torn.
func (s *scanner) complete(v *scanned, ended bool) bool {
	v.torn = ended
	switch {
	case ended && len(v.text) == 0 && !s.parted:
		return false
	case s.cutPrefix(v):
		return true
	case ended && s.parted:
		v.text = s.parts
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

// unpack counts the bytes of f, and decompresses them if they are gzipped.
func (s *scanner) unpack(f io.Reader) (*bufio.Reader, error) {
	r := bufio.NewReaderSize(&counted{f, &s.bytes}, bufferSize)
	if magic, _ := r.Peek(2); string(magic) != "\x1f\x8b" {
		return r, nil
	}
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	return bufio.NewReaderSize(z, bufferSize), nil
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

// read takes the next line. What exceeds the buffer is skipped.
func (v *scanned) read(r *bufio.Reader) error {
	text, err := r.ReadSlice('\n')
	for errors.Is(err, bufio.ErrBufferFull) {
		v.long = true
		_, err = r.ReadSlice('\n')
	}
	v.text = bytes.TrimSuffix(text, []byte("\n"))
	return err
}

// cutPrefix takes the CRI prefix off a line, if it has one, and puts the parts of a split line
// together. It reports whether that makes a line: standard error makes none, and a part none yet.
func (s *scanner) cutPrefix(v *scanned) bool {
	line, ok := parseCRI(v.text)
	switch {
	case !ok:
		return true
	case line.stream != "stdout":
		return false
	case !line.partial && !s.parted:
		v.text = line.text
		return true
	}
	if !s.parted {
		s.parts = s.parts[:0]
	}
	if len(s.parts) <= audit.MaxLine { // longer lines are refused later, but not kept
		s.parts = append(s.parts, line.text...)
	}
	s.parted = line.partial
	v.text = s.parts
	return !line.partial
}
