package listen

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// isGone reports whether the other end has closed the connection, though what it sent before may
// still be unread.
func isGone(socket net.Conn) bool {
	gone := false
	err := control(socket, func(fd int) {
		state := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}} //nolint:gosec // descriptors are small
		n, err := unix.Poll(state, 0)
		gone = err == nil && n > 0 && state[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
	})
	return err != nil || gone
}

// peek returns the beginning of what came over a connection and was not read yet. It stays unread.
func peek(socket net.Conn, buffer []byte) []byte {
	n := 0
	err := control(socket, func(fd int) {
		n, _, _ = unix.Recvfrom(fd, buffer, unix.MSG_PEEK|unix.MSG_DONTWAIT)
	})
	if err != nil {
		return nil
	}
	return buffer[:max(n, 0)]
}

// control calls do with the descriptor of a connection. It does nothing for one that has none.
func control(socket net.Conn, do func(fd int)) error {
	descriptor, ok := socket.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := descriptor.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) { do(int(fd)) })
}
