package reader

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"
)

const (
	followEvery = 300 * time.Millisecond
	startBytes  = 256 // by which a file is known again: more than the time of its first record
)

// Follow opens a file that goes on and returns its source. At the end of the file, the source waits
// for more until ctx ends. It goes on in the file that takes its place, as after a rotation. A file
// that is cut back goes on from there, and one that is overwritten is read from its start.
func Follow(ctx context.Context, file Source) (Source, error) {
	opened, err := file.Open()
	if err != nil {
		return Source{}, &SourceError{file.Name, err}
	}
	f, ok := opened.(followable)
	if !ok {
		return Source{}, &SourceError{file.Name, errors.Join(opened.Close(), errors.ErrUnsupported)}
	}
	return Source{Name: file.Name, Open: func() (io.ReadCloser, error) {
		return &followed{ctx: ctx, path: file.Name, f: f}, nil
	}}, nil
}

// followable is an *os.File.
type followable interface {
	io.ReadSeekCloser
	io.ReaderAt
	Stat() (fs.FileInfo, error)
}

type followed struct {
	ctx  context.Context //nolint:containedctx // an io.Reader has no other way to be ended
	path string
	f    followable
	next followable // took its place; nil: none did

	start  []byte // of the file
	offset int64  // of what comes next
	line   int64  // offset of the line that comes next, or that has come in part
}

// Read implements io.Reader. It waits for at least one byte.
func (f *followed) Read(p []byte) (int, error) {
	ticker := time.NewTicker(followEvery)
	defer ticker.Stop()
	for {
		n, err := f.f.Read(p)
		f.note(p[:n])
		if n > 0 || !errors.Is(err, io.EOF) {
			return n, err
		}
		torn := f.line < f.offset
		switch moved, err := f.move(); {
		case err != nil:
			return 0, err
		case moved && torn:
			return copy(p, "\n"), nil // what comes next does not belong to this line
		case moved:
			continue
		}
		select {
		case <-ticker.C:
		case <-f.ctx.Done():
			return 0, io.EOF
		}
	}
}

// note remembers where bytes that were read leave off.
func (f *followed) note(read []byte) {
	if f.offset == 0 {
		f.start = bytes.Clone(read[:min(len(read), startBytes)])
	}
	if i := bytes.LastIndexByte(read, '\n'); i >= 0 {
		f.line = f.offset + int64(i) + 1
	}
	f.offset += int64(len(read))
}

// move goes to where reading goes on after the end of the file, and reports whether that is elsewhere.
// Records may come between the look at the end of a file and its rotation: it is left only at its
// next end.
func (f *followed) move() (bool, error) {
	if f.next != nil {
		_ = f.f.Close() // it was only read
		f.f, f.next, f.offset, f.line = f.next, nil, 0, 0
		return true, nil
	}
	info, err := f.f.Stat()
	if err != nil {
		return false, err
	}
	if info.Mode().IsRegular() && info.Size() < f.offset {
		return true, f.goBack(info.Size())
	}
	f.next, err = another(f.path, info)
	return false, err
}

// goBack is for a file that is shorter than what was read of it. The log cuts off what it failed to
// write; others empty the file and begin anew.
func (f *followed) goBack(size int64) error {
	start := make([]byte, len(f.start))
	n, err := f.f.ReadAt(start, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	at := int64(0)
	if bytes.Equal(start[:n], f.start) {
		at = min(f.line, size)
	}
	f.offset, err = f.f.Seek(at, io.SeekStart)
	f.line = f.offset
	return err
}

// another opens the file at the path. It returns nil if that is still the old one, or, as between two
// files for a moment, none.
func another(path string, old fs.FileInfo) (followable, error) {
	if info, err := os.Stat(path); err != nil || os.SameFile(old, info) {
		return nil, nil //nolint:nilnil,nilerr // nothing is wrong: it may come
	}
	next, err := os.Open(path) //nolint:gosec // the operator's path
	switch {
	case errors.Is(err, fs.ErrNotExist): // gone since
		return nil, nil //nolint:nilnil // it may come
	case err != nil:
		return nil, err
	}
	if info, err := next.Stat(); err != nil || os.SameFile(old, info) { // back since
		return nil, errors.Join(err, next.Close())
	}
	return next, nil
}

func (f *followed) Close() error {
	if f.next != nil {
		_ = f.next.Close() // it was only read
	}
	return f.f.Close()
}
