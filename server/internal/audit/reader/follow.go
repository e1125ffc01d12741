package reader

import (
	"context"
	"errors"
	"io"
	"os"
	"time"
)

const followEvery = 300 * time.Millisecond

// Follow returns the source of a file that goes on: at its end it waits for more, until ctx ends. It
// goes on in the file that takes its place, as after a rotation.
func Follow(ctx context.Context, path string) Source {
	return Source{Name: path, Open: func() (io.ReadCloser, error) {
		f, err := os.Open(path) //nolint:gosec // the operator's path
		return &followed{ctx: ctx, path: path, f: f}, err
	}}
}

type followed struct {
	ctx  context.Context //nolint:containedctx // an io.Reader has no other way to be ended
	path string
	f    *os.File
}

// Read implements io.Reader. It waits for at least one byte.
func (f *followed) Read(p []byte) (int, error) {
	ticker := time.NewTicker(followEvery)
	defer ticker.Stop()
	for {
		n, err := f.f.Read(p)
		if n > 0 || !errors.Is(err, io.EOF) {
			return n, err
		}
		if moved, err := f.moveOn(); err != nil || moved {
			if err != nil {
				return 0, err
			}
			continue
		}
		select {
		case <-ticker.C:
		case <-f.ctx.Done():
			return 0, io.EOF
		}
	}
}

// moveOn opens the file that is now at the path, if it is another one.
func (f *followed) moveOn() (bool, error) {
	old, err := f.f.Stat()
	if err != nil {
		return false, err
	}
	info, err := os.Stat(f.path)
	if err != nil || os.SameFile(old, info) {
		return false, nil //nolint:nilerr // between two files there is none for a moment
	}
	next, err := os.Open(f.path)
	if err != nil {
		return false, err
	}
	_ = f.f.Close() // it was only read
	f.f = next
	return true, nil
}

func (f *followed) Close() error { return f.f.Close() }
