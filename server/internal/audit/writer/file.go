package writer

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// file is what the log needs of an open file; tests make it fail.
type file interface {
	io.WriteCloser
	io.ReaderAt
	Truncate(size int64) error
	Stat() (fs.FileInfo, error)
	// Sync makes what was written durable: fdatasync.
	Sync() error
}

// opener opens the audit file for reading and appending, and makes it if it is
// not there, readable and writable by its owner alone.
type opener func(path string) (file, error)

type osFile struct{ *os.File }

func openOS(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600) //nolint:gosec // the operator's path
	if err != nil {
		return nil, err
	}
	// PATH.lock keeps a second process off. This lock does too, should somebody
	// have removed that one.
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%s is held by another process: %w", path, err), f.Close())
	}
	return osFile{f}, nil
}

// fileSink appends to a file that it alone writes. Whatever fails, the file is
// cut back to the end of the last batch that is known to be whole, and the
// batch is written anew: after a failed sync the kernel may have thrown its
// pages away, so that syncing once more would prove nothing.
type fileSink struct {
	o    Options
	m    *metrics
	lock *os.File

	f       file        // nil: to be made anew
	info    fs.FileInfo // of f, for its identity
	size    int64       // where the last whole batch ends
	torn    bool        // something stands behind size
	wrote   int64       // how much of it can be ours
	changed bool        // the file was found to be another since the last check
	low     bool        // free space is below MinFree
	stuck   bool        // the last rotation failed
}

// commit writes and syncs lines, and then looks whether the path still leads
// to them: a record in a deleted file is no record.
func (s *fileSink) commit(lines []byte) error {
	for range 3 {
		if err := s.ready(); err != nil {
			return err
		}
		if err := s.write(lines); err != nil {
			return err
		}
		problem, err := s.problem(s.size + int64(len(lines)))
		switch {
		case err != nil: // the path cannot be looked at: write them anew
			continue
		case problem != "": // what stands there too is somebody else's: it is kept, never cut off
			s.leave(problem)
			continue
		}
		s.size += int64(len(lines))
		s.torn = false
		return nil
	}
	return fmt.Errorf("%s keeps being changed by somebody else", s.o.File)
}

func (s *fileSink) write(lines []byte) error {
	s.torn, s.wrote = true, int64(len(lines))
	if _, err := s.f.Write(lines); err != nil {
		return s.cutBack(fmt.Errorf("write: %w", err))
	}
	if s.o.NoSync {
		return nil
	}
	if err := s.f.Sync(); err != nil {
		return s.cutBack(fmt.Errorf("sync %s: %w", s.o.File, err))
	}
	return nil
}

// cutBack takes away what a failed write has left, and returns cause. If it
// cannot, ready tries it again.
func (s *fileSink) cutBack(cause error) error {
	info, err := s.f.Stat()
	if err == nil && info.Size() > s.size+s.wrote { // not ours alone: it is kept
		s.leave("written to")
		return cause
	}
	if err == nil && info.Size() > s.size { // never longer: that would fill it with zeros
		err = s.f.Truncate(s.size)
	}
	s.torn = err != nil
	return errors.Join(cause, err)
}

// ready makes sure that the path leads to the file that is open, as it was
// left.
func (s *fileSink) ready() error {
	if s.f == nil {
		return s.create()
	}
	if s.torn {
		if err := s.cutBack(nil); err != nil {
			return err
		}
	}
	if s.f == nil {
		return s.create()
	}
	problem, err := s.problem(s.size)
	if err != nil || problem == "" {
		return err
	}
	s.leave(problem)
	return s.create()
}

// problem says how the file at the path differs from the open one of that
// size; "" if it does not.
func (s *fileSink) problem(size int64) (string, error) {
	info, err := os.Stat(s.o.File)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "deleted", nil
	case err != nil:
		return "", err
	case !os.SameFile(info, s.info):
		return "replaced", nil
	case info.Size() < size:
		return "truncated", nil
	case info.Size() > size:
		return "written to", nil
	}
	return "", nil
}

// leave gives up the open file because somebody else changed it.
func (s *fileSink) leave(problem string) {
	s.o.Logger.Error("the audit file was "+problem+" by somebody else; going on in a new one", "file", s.o.File)
	_ = s.f.Close() // what it held is either at the path or lost already
	s.f, s.torn, s.changed = nil, false, true
	s.m.replaced.Inc()
}

// create opens a new, empty file at the path. What stands there is kept under
// another name, as evidence.
func (s *fileSink) create() error {
	info, err := os.Stat(s.o.File)
	if err == nil && info.Size() > 0 {
		err = renameFree(s.o.File, func(stamp string) string { return s.o.File + ".altered-" + stamp }, s.o.Now())
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := s.o.opener(s.o.File)
	if err != nil {
		return err
	}
	info, err = f.Stat()
	if err == nil && info.Size() != 0 {
		err = fmt.Errorf("%s: somebody else writes to it", s.o.File)
	}
	if err == nil {
		err = syncDir(s.o.File)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	s.f, s.info, s.size, s.torn = f, info, 0, false
	return nil
}

// check notices a change of the file while nobody writes, and a disk that
// fills.
func (s *fileSink) check() bool {
	s.watchSpace()
	if s.f != nil && !s.torn {
		if problem, err := s.problem(s.size); err == nil && problem != "" {
			s.leave(problem)
		}
	}
	changed := s.changed
	s.changed = false
	return changed
}

func (s *fileSink) watchSpace() {
	free, err := s.o.freeDisk(filepath.Dir(s.o.File))
	if err != nil {
		return // the path is gone: commit reports it
	}
	s.m.free.Set(float64(free))
	low := free < s.o.MinFree
	if low && !s.low {
		s.o.Logger.Warn("the disk of the audit file is nearly full; when it is full no token is issued",
			"file", s.o.File, "free_bytes", free, "min_free_bytes", s.o.MinFree)
	}
	s.low = low
}

func (s *fileSink) close() error {
	var err error
	if s.f != nil {
		err = errors.Join(s.f.Sync(), s.f.Close())
	}
	return errors.Join(err, s.lock.Close()) // which unlocks it
}

func freeDisk(path string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), nil //nolint:gosec,unconvert,nolintlint // the types differ by system
}

// syncDir makes the name of a file durable.
func syncDir(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// stampFormat sorts by time, so that a shell lists rotated files in order.
const stampFormat = "20060102T150405.000000Z"

// createFree makes the first file that does not exist yet of those named prefix
// and a stamp of now or the microseconds after it.
func createFree(prefix string, now time.Time) (*os.File, error) {
	return createFirst(func(stamp string) string { return prefix + stamp }, now)
}

func createFirst(name func(stamp string) string, now time.Time) (*os.File, error) {
	for ; ; now = now.Add(time.Microsecond) {
		path := name(now.UTC().Format(stampFormat))
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // beside the operator's path
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
	}
}

// renameFree renames path to the first free name. It takes that with O_EXCL
// first, because a rename overwrites.
func renameFree(path string, name func(stamp string) string, now time.Time) error {
	f, err := createFirst(name, now)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Close(), os.Rename(path, f.Name())); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(path)
}
