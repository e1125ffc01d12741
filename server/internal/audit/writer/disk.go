package writer

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// disk is the file system as the log uses it; tests simulate one that loses power.
type disk interface {
	// openLog opens the audit file for reading and appending, and locks it.
	openLog(path string, open opener) (file, error)
	// openFile opens any other file.
	openFile(path string, flag int) (file, error)
	stat(path string) (fs.FileInfo, error)
	rename(from, to string) error
	remove(path string) error
	readDir(directory string) ([]fs.DirEntry, error)
	// syncDir makes the names in a directory durable.
	syncDir(directory string) error
	// free returns the free bytes of the file system of a directory.
	free(directory string) (int64, error)
}

// file is what the log needs of an open file; tests make it fail.
type file interface {
	io.WriteCloser
	io.WriterAt
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

// lockedFile is unlocked before it is closed: closing alone leaves the lock for as long as a process
// that was forked meanwhile has the descriptor, which is until its exec.
type lockedFile struct{ osFile }

func (f lockedFile) Close() error { return errors.Join(release(f.File), f.File.Close()) }

// osDisk is the operating system's.
type osDisk struct{}

// openLog locks the file itself too: PATH.lock keeps other processes off, unless somebody has
// removed it.
func (osDisk) openLog(path string, open opener) (file, error) {
	f, err := open(path, os.O_RDWR|os.O_APPEND)
	if err != nil {
		return nil, err
	}
	if err := lock(f, path); err != nil {
		return nil, err
	}
	return lockedFile{osFile{f}}, nil
}

func (osDisk) openFile(path string, flag int) (file, error) {
	f, err := os.OpenFile(path, flag, 0o600) //nolint:gosec // beside the operator's path
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osDisk) stat(path string) (fs.FileInfo, error)           { return os.Stat(path) }
func (osDisk) rename(from, to string) error                    { return os.Rename(from, to) }
func (osDisk) remove(path string) error                        { return os.Remove(path) }
func (osDisk) readDir(directory string) ([]fs.DirEntry, error) { return os.ReadDir(directory) }
func (osDisk) syncDir(directory string) error                  { return syncDir(directory) }
func (osDisk) free(directory string) (int64, error)            { return freeDisk(directory) }

// syncNames makes the name of the audit file, and those beside it, durable.
func (o *Options) syncNames() error { return o.disk.syncDir(filepath.Dir(o.File)) }
