package writer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Others may hold a lock for a moment: doctor, and whoever removes it.
const (
	lockTries = 5
	lockPause = 10 * time.Millisecond
)

// openLock locks PATH.lock until it is closed. The lock is not on the audit file itself, which is
// another file after each rotation. A lock file that nobody holds may be removed by others, so it
// counts only if the path still leads to it once it is locked.
func openLock(o *Options, open opener) (*os.File, error) {
	path := lockPath(o.File)
	for try := 1; ; try++ {
		f, err := open(path, os.O_RDWR)
		if err != nil {
			return nil, err
		}
		err = lock(f, path)
		switch {
		case err == nil && (o.passing || leadsTo(path, f)):
			return f, nil
		case err == nil:
			err = errors.Join(fmt.Errorf("%s: others keep removing it", path), f.Close())
		case !errors.Is(err, syscall.EWOULDBLOCK):
			return nil, err
		}
		if try == lockTries {
			return nil, fmt.Errorf("%w%s", err, o.lockAdvice())
		}
		time.Sleep(lockPause)
	}
}

// lockAdvice says what to do about a lock that another process keeps.
func (o *Options) lockAdvice() string {
	if o.locks == "" {
		return "; give each its own file, for example with " + instanceMark
	}
	return "; it has the same instance, " + o.Instance + ": wait for its end, or name another instance"
}

// inUseError is that another process has the lock.
type inUseError struct{ path string }

func (e *inUseError) Error() string {
	return e.path + ": in use by another process"
}

func (*inUseError) Unwrap() error { return syscall.EWOULDBLOCK }

// lock locks a file, or closes it.
func lock(f *os.File, path string) error {
	err := tryLock(f)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EWOULDBLOCK):
		err = &inUseError{path}
	default:
		err = fmt.Errorf("%s: %w", path, err)
	}
	return errors.Join(err, f.Close())
}

// leadsTo reports whether the path leads to the open file.
func leadsTo(path string, f *os.File) bool {
	there, err := os.Lstat(path)
	if err != nil {
		return false
	}
	info, err := f.Stat()
	return err == nil && os.SameFile(there, info)
}

// unlock removes the lock file and gives up the lock. Whoever waits for it makes another.
func unlock(f *os.File) error {
	var err error
	if canRemoveOpen && leadsTo(f.Name(), f) {
		err = os.Remove(f.Name())
	}
	return errors.Join(err, release(f), f.Close())
}

// locksOfAll returns a pattern of the lock files of all instances, or "" if the path is that of
// one, or if the pattern would match the lock files of other programs.
func locksOfAll(path string) string {
	if !strings.Contains(path, instanceMark) || filepath.Base(path) == instanceMark {
		return ""
	}
	escaped := strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(lockPath(path))
	return strings.ReplaceAll(escaped, instanceMark, "*")
}

// removeDeadLocks removes the lock files of instances that were killed.
func removeDeadLocks(o *Options) {
	if o.locks == "" {
		return
	}
	paths, _ := filepath.Glob(o.locks) // the pattern is well formed
	removed := 0
	for _, path := range paths {
		if path != lockPath(o.File) && removeUnheld(path) {
			removed++
		}
	}
	if removed > 0 {
		o.Logger.Info("removed lock files of instances that no longer run", "event", "audit_locks_removed", "files", removed)
	}
}

// removeUnheld removes a lock file, unless somebody holds it or it is none of ours: those are
// empty.
func removeUnheld(path string) bool {
	f, err := os.OpenFile(path, os.O_RDWR|openUnknown, 0) //nolint:gosec // beside the audit file
	if err != nil || lock(f, path) != nil {
		return false
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() > 0 {
		_ = f.Close()
		return false
	}
	return unlock(f) == nil
}
