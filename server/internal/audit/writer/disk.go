package writer

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// file is what the log needs of an open file; tests make it fail.
type file interface {
	io.WriteCloser
	io.ReaderAt
	Truncate(size int64) error
	Stat() (fs.FileInfo, error)
	Chmod(mode fs.FileMode) error
	// Sync makes what was written durable: fdatasync.
	Sync() error
}

type osFile struct{ *os.File }

// opener opens a file for its owner alone, as os.OpenFile does.
type opener func(path string, flag int) (*os.File, error)

// create makes the file if it does not exist.
func create(path string, flag int) (*os.File, error) {
	return os.OpenFile(path, flag|os.O_CREATE, 0o600) //nolint:gosec // the operator's path
}

// openLocked opens the audit file for reading and appending. PATH.lock keeps other processes off;
// this lock does so too, should somebody have removed that file.
func openLocked(path string, open opener) (file, error) {
	f, err := open(path, os.O_RDWR|os.O_APPEND)
	if err != nil {
		return nil, err
	}
	if err := lock(f, path); err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// Close unlocks the file before it closes it: closing alone leaves the lock for as long as a
// process that was forked meanwhile has the descriptor, which is until its exec.
func (f osFile) Close() error { return errors.Join(release(f.File), f.File.Close()) }
