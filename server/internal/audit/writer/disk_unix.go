//go:build unix

package writer

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	openUnknown   = unix.O_NOFOLLOW | unix.O_NONBLOCK // of a file that may be anything
	canRemoveOpen = true
)

// tryLock locks a file, or returns EWOULDBLOCK.
func tryLock(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }

// release unlocks a file.
func release(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_UN) }

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

// isSame reports whether two of them are of one file.
func isSame(a, b fs.FileInfo) bool {
	one, ok := a.Sys().(*syscall.Stat_t)
	other, ok2 := b.Sys().(*syscall.Stat_t)
	return ok && ok2 && one.Dev == other.Dev && one.Ino == other.Ino
}

func syncDir(directory string) error {
	d, err := os.Open(directory) //nolint:gosec // of the operator's path
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
