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
	"io/fs"
	"os"
	"strings"
)

const (
	progressEvery = 1 << 14 // lines between two calls of a Progress
	bufferSize    = 1 << 16 // more than any collector makes of a record
	longestLine   = 1 << 24 // in bytes: what has longer ones is no log
)

var errEndless = fmt.Errorf("a line is longer than %d MiB: this is no log", longestLine>>20)

// Progress is told, now and then and at the end, how many bytes of the files and how many lines
// have been read.
type Progress func(bytes int64, lines uint64)

// Source is one file of records: as the log wrote it, or as a log collector keeps its lines, among
// those of others. Either may be gzipped.
type Source struct {
	Name string
	Open func() (io.ReadCloser, error)
}

// SourceError is a source that cannot be read to its end.
type SourceError struct {
	Name string
	err  error
}

func (e *SourceError) Error() string {
	if failed := new(fs.PathError); errors.As(e.err, &failed) { // which would name it once more
		return fmt.Sprintf("read %s: %v", oneLine(e.Name), failed.Err)
	}
	return fmt.Sprintf("read %s: %v", oneLine(e.Name), e.err)
}

// oneLine keeps the name of a file from being taken for lines of a report.
func oneLine(name string) string { return strings.ReplaceAll(name, "\n", `\n`) }

func (e *SourceError) Unwrap() error { return e.err }

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

// scanned is one line of a source. Its bytes are valid until the next line.
type scanned struct {
	source  string
	number  int    // of the line, from 1
	line    []byte // without newline
	text    []byte // the record in it
	foreign bool   // it is plainly no record
	torn    bool   // the source ends in the middle of it
	long    bool   // it is longer than a record can be, and not all here
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
		return &SourceError{source.Name, err}
	}
	defer func() { _ = f.Close() }()
	r, err := s.unpack(f)
	if err != nil {
		return &SourceError{source.Name, err}
	}
	s.parts, s.parted = s.parts[:0], false
	for number, ended := 1, false; !ended; number++ {
		v := scanned{source: source.Name, number: number}
		err := v.read(r)
		ended = errors.Is(err, io.EOF)
		if err != nil && !ended {
			return &SourceError{source.Name, fmt.Errorf("line %d: %w", number, err)}
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
	case v.long:
		v.text = v.line
		return true
	case bytes.HasPrefix(v.line, recordStart):
		v.text = bytes.TrimSuffix(v.line, []byte("\r"))
		return true
	case ended && len(v.line) == 0 && !s.parted:
		return false
	}
	if !s.join(v) && !ended {
		return false
	}
	if !v.foreign {
		v.text, v.foreign = unwrap(v.text)
	}
	if v.torn && bytes.HasPrefix(recordStart, v.text) {
		v.foreign = false
	}
	return true
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

// read takes the next line. Of one that exceeds the buffer only the end is kept.
func (v *scanned) read(r *bufio.Reader) error {
	text, err := r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return v.readLong(r, text)
	}
	v.line = bytes.TrimSuffix(text, []byte("\n"))
	return err
}

func (v *scanned) readLong(r *bufio.Reader, text []byte) error {
	v.long, v.foreign = true, true
	err := bufio.ErrBufferFull
	for n := 0; errors.Is(err, bufio.ErrBufferFull); {
		if n += len(text); n > longestLine {
			return errEndless
		}
		_, isForeign := unwrap(text)
		v.foreign = v.foreign && isForeign
		text, err = r.ReadSlice('\n')
	}
	_, isForeign := unwrap(text)
	v.line, v.foreign = bytes.TrimSuffix(text, []byte("\n")), v.foreign && isForeign
	return err
}
