package listen

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// isGone reports whether the other end has closed the connection, though what it sent before may
// still be unread.
func isGone(socket net.Conn) bool {
	descriptor, ok := socket.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := descriptor.SyscallConn()
	if err != nil {
		return false
	}
	gone := false
	err = raw.Control(func(fd uintptr) {
		state := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}} //nolint:gosec // descriptors are small
		n, err := unix.Poll(state, 0)
		gone = err == nil && n > 0 && state[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
	})
	return err != nil || gone
}
