//go:build unix

package listen

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	lockTimeout  = 5 * time.Second
	lockInterval = 20 * time.Millisecond
)

// lockDirectory waits a while for the directory's lock, which others hold only briefly. Closing the
// directory releases it; there is no lock file.
func lockDirectory(ctx context.Context, path string) (*os.File, error) {
	directory, err := os.Open(path) //nolint:gosec // the operator's own choice
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	for {
		err := unix.Flock(int(directory.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return directory, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) || !pause(ctx, lockInterval) {
			return nil, errors.Join(os.NewSyscallError("lock", err), directory.Close())
		}
	}
}

// pause reports whether the time passed before the context ended.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
