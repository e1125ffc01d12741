package watch

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
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
	taken content     // what the value was last made of, or failed to be made of
	seen  content     // what the last look found

	named    []string // files because of which the contents were rejected: see NamedFileError
	rejected string   // why the contents were; empty: they were not
}

// NamedFileError is an error of Parse about another file, which the contents name. While it lasts,
// the contents are parsed again when that file changes.
type NamedFileError struct {
	Path string
	Err  error
}

func (e *NamedFileError) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong with the file.
func (e *NamedFileError) Unwrap() error { return e.Err }

// outcome is what a look led to.
type outcome int

const (
	unchanged outcome = iota
	unsettled         // something changed: look again soon, somebody may still be writing
	reloaded
	rejected
)

// look reads the files, and takes a change over once two looks in a row found the same. It tells a
// rejection once, however often the files that the contents name change.
func (f *files) look() (outcome, error) {
	contents, now, err := f.read()
	settled := now == f.seen
	f.seen = now
	switch {
	case now == f.taken:
		f.looked()
		return unchanged, nil
	case !settled:
		return unsettled, nil
	}
	isNew, told := now.own != f.taken.own, f.rejected
	err = f.takeOver(contents, now, err)
	switch {
	case err == nil:
		return reloaded, nil
	case isNew || f.rejected != told:
		return rejected, err
	default:
		return unchanged, nil
	}
}

// read also reads the files that made the last contents be rejected.
func (f *files) read() ([][]byte, content, error) {
	var now content
	contents, own, err := read(f.paths)
	now.own = own
	if len(f.named) > 0 {
		_, now.named, _ = read(f.named) // the identity holds the error
	}
	return contents, now, err
}

// takeOver makes the contents the value, or notes why it cannot.
func (f *files) takeOver(contents [][]byte, now content, err error) error {
	err = f.take(contents, err)
	f.taken, f.seen = now, now
	f.note(err)
	if err == nil {
		f.good.Store(true)
	}
	f.looked()
	return err
}

// note keeps why the contents were rejected. Files that they name were not compared before they
// were read, so contents that name others than before are taken once more.
func (f *files) note(err error) {
	before := f.named
	f.named, f.rejected = nil, ""
	if err != nil {
		f.rejected = err.Error()
	}
	if file, found := errors.AsType[*NamedFileError](err); found {
		f.named = []string{file.Path}
	}
	if !slices.Equal(f.named, before) {
		f.taken.named = ""
	}
}

// isDue reports whether the contents are to be taken once more, for the files that they name.
func (f *files) isDue() bool { return len(f.named) > 0 && f.taken.named == "" }

// takeFirst takes over what the files hold at the start, without a second look.
func (f *files) takeFirst() {
	contents, now, err := f.read()
	_ = f.takeOver(contents, now, err) // the value keeps the error
}

// has reports whether a clean path is one of them, or of those that they wait for.
func (f *files) has(path string) bool {
	return slices.ContainsFunc(f.all(), func(own string) bool { return filepath.Clean(own) == path })
}

// all returns their paths, and those of the files that they wait for.
func (f *files) all() []string { return slices.Concat(f.paths, f.named) }

// content is what files held at one moment.
type content struct {
	own   identity
	named identity // of the files that they name, while those are what is wrong with them
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
