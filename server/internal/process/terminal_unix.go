//go:build unix

package process

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Terminal is the controlling terminal that the program was started in. Nil: there is none.
type Terminal struct{ device *os.File }

const controlling = "/dev/tty"

// OpenTerminal returns nil if there is none.
func OpenTerminal() *Terminal {
	fd, err := unix.Open(controlling, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	return &Terminal{os.NewFile(uintptr(fd), controlling)}
}

// HasHungUp reports whether the terminal is gone: its window was closed, the connection cut, or the
// shell ended that it belonged to.
func (t *Terminal) HasHungUp() bool {
	if t == nil {
		return false
	}
	fd, err := unix.Open(controlling, unix.O_RDONLY|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ENXIO) {
		return true
	}
	if err == nil {
		_ = unix.Close(fd)
	}
	state := []unix.PollFd{{Fd: int32(t.device.Fd())}} //nolint:gosec // a descriptor fits
	n, err := unix.Poll(state, 0)
	return err == nil && n > 0 && state[0].Revents&(unix.POLLHUP|unix.POLLERR|unix.POLLNVAL) != 0
}
