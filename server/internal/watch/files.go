package watch

import (
	"crypto/sha256"
	"encoding/binary"
	"path/filepath"
	"slices"
	"sync/atomic"
)

// files are those of one value, of whatever type. One goroutine at a time looks at them; any may ask
// whether they have been good.
type files struct {
	kind, setting string
	paths         []string
	required      bool
	take          func(contents [][]byte, err error) error
	looked        func()
	problem       func() error // what is wrong with them, by their setting

	good  atomic.Bool // there is a value
	taken identity    // what the value was last made of, or failed to be made of
	seen  identity    // what the last look found
}

// outcome is what a look led to.
type outcome int

const (
	unchanged outcome = iota
	unsettled         // something changed: look again soon, somebody may still be writing
	reloaded
	rejected
)

// look reads the files, and takes a change over once two looks in a row found the same.
func (f *files) look() (outcome, error) {
	contents, now, err := read(f.paths)
	settled := now == f.seen
	f.seen = now
	switch {
	case now == f.taken:
		f.looked()
		return unchanged, nil
	case !settled:
		return unsettled, nil
	}
	if err = f.takeOver(contents, now, err); err != nil {
		return rejected, err
	}
	return reloaded, nil
}

// takeOver makes the contents the value, or notes why it cannot.
func (f *files) takeOver(contents [][]byte, now identity, err error) error {
	f.taken, f.seen = now, now
	err = f.take(contents, err)
	if err == nil {
		f.good.Store(true)
	}
	f.looked()
	return err
}

// takeFirst takes over what the files hold at the start, without a second look.
func (f *files) takeFirst() {
	contents, now, err := read(f.paths)
	_ = f.takeOver(contents, now, err) // the value keeps the error
}

// has reports whether a clean path is one of them.
func (f *files) has(path string) bool {
	return slices.ContainsFunc(f.paths, func(own string) bool { return filepath.Clean(own) == path })
}

// identity is the digest of what files held at one moment, or why they could not be read. The
// contents themselves may be secret and are not kept.
type identity string

func read(paths []string) ([][]byte, identity, error) {
	contents := make([][]byte, len(paths))
	digest := sha256.New()
	for i, path := range paths {
		content, err := ReadFile(path)
		if err != nil {
			return nil, identity(err.Error()), err
		}
		contents[i] = content
		_, _ = digest.Write(binary.AppendUvarint(nil, uint64(len(content))))
		_, _ = digest.Write(content)
	}
	return contents, identity(digest.Sum(nil)), nil
}
