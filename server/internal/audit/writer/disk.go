package writer

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
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

// freeDisk returns the free bytes of the file system of a directory.
func freeDisk(directory string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(directory, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), nil //nolint:gosec,unconvert,nolintlint // the types differ by system
}

// hasName reports whether an open file is still in some directory.
func hasName(info fs.FileInfo) bool {
	status, ok := info.Sys().(*syscall.Stat_t)
	return ok && status.Nlink > 0
}

// syncDir makes the name of a file durable.
func syncDir(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
