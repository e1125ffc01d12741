//go:build unix

package rpc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	lockTimeout  = 5 * time.Second
	lockInterval = 20 * time.Millisecond
)

// lockDirectory waits a while for the directory's lock: others hold it for an
// instant. It leaves no lock file behind.
func lockDirectory(ctx context.Context, path string) (*os.File, error) {
	directory, err := os.Open(path) //nolint:gosec // the operator's own choice
	if err != nil {
		return nil, fmt.Errorf("open the socket's directory: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	for {
		err := unix.Flock(int(directory.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return directory, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) || !pause(ctx, lockInterval) {
			return nil, errors.Join(fmt.Errorf("lock the socket's directory %s: %w", path, err), directory.Close())
		}
	}
}

// pause reports whether it was not cut short.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

func isConnectionRefused(err error) bool { return errors.Is(err, unix.ECONNREFUSED) }
