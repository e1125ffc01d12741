package writer

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"syscall"

	"golang.org/x/sys/windows"
)

// farAway is a byte that no file has: on Windows nobody else can read what is locked.
var farAway = windows.Overlapped{OffsetHigh: math.MaxInt32}

const (
	openUnknown   = 0
	canRemoveOpen = false
)

// tryLock locks a file, or returns EWOULDBLOCK.
func tryLock(f *os.File) error {
	at := farAway
	const exclusive = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	err := windows.LockFileEx(windows.Handle(f.Fd()), exclusive, 0, 1, 0, &at)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return syscall.EWOULDBLOCK
	}
	return err
}

// release unlocks a file.
func release(f *os.File) error {
	at := farAway
	return windows.UnlockFileEx(windows.Handle(f.Fd()), 0, 1, 0, &at)
}

// freeDisk returns the free bytes of the volume of a directory.
func freeDisk(directory string) (int64, error) {
	path, err := windows.UTF16PtrFromString(directory)
	if err != nil {
		return 0, err
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(path, &free, nil, nil); err != nil {
		return 0, err
	}
	return int64(min(free, math.MaxInt64)), nil
}

// hasName is always true: a file that is open cannot be deleted here.
func hasName(fs.FileInfo) bool { return true }

// isSame reports whether two of them are of one file.
func isSame(a, b fs.FileInfo) bool { return os.SameFile(a, b) }

// syncDir does nothing: directories cannot be synced here.
func syncDir(string) error { return nil }
