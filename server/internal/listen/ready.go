package listen

import (
	"errors"
	"io"
	"net"
	"syscall"

	"google.golang.org/grpc/mem"
)

// ReadOnReady is Read for grpc, with a buffer of the pool. Without TLS, that is taken only once
// something has come: a silent connection holds none.
func (t *traffic) ReadOnReady(size int, pool mem.BufferPool) (*[]byte, int, error) {
	if t.ready == nil {
		buffer := pool.Get(size)
		n, err := t.Read(*buffer)
		return given(buffer, n, err, pool)
	}
	buffer, n, err := t.ready.read(size, pool)
	if buffer == nil {
		t.over.Store(true)
		return nil, 0, err
	}
	n, err = t.take(*buffer, n, err)
	return given(buffer, n, err, pool)
}

// given puts a buffer back that grpc does not get, as nothing is in it.
func given(buffer *[]byte, n int, err error, pool mem.BufferPool) (*[]byte, int, error) {
	if n == 0 {
		pool.Put(buffer)
		return nil, 0, err
	}
	return buffer, n, err
}

// readyReader reads from a socket, and takes the buffer only then.
type readyReader struct {
	socket syscall.RawConn
	heard  func()
	try    func(fd uintptr) bool // tryRead, made once

	size   int
	pool   mem.BufferPool
	buffer *[]byte // nil: nothing was read
	n      int
	err    error
}

// newReadyReader returns nil for a connection that is not the socket itself, such as one of TLS,
// and where a socket cannot be read without waiting.
func newReadyReader(accepted net.Conn) *readyReader {
	c, ok := accepted.(*conn)
	if !ok || !canReadNow {
		return nil
	}
	descriptor, ok := c.Conn.(syscall.Conn)
	if !ok {
		return nil
	}
	socket, err := descriptor.SyscallConn()
	if err != nil {
		return nil
	}
	r := &readyReader{socket: socket, heard: c.hear}
	r.try = r.tryRead
	return r
}

// read waits, and returns a buffer with what came, or none and why nothing will come.
func (r *readyReader) read(size int, pool mem.BufferPool) (*[]byte, int, error) {
	r.size, r.pool = size, pool
	err := r.socket.Read(r.try)
	buffer := r.buffer
	r.buffer, r.pool = nil, nil
	switch {
	case buffer == nil && err != nil:
		return nil, 0, err
	case buffer == nil && r.err != nil:
		return nil, 0, r.err
	case buffer == nil:
		return nil, 0, io.EOF
	}
	r.heard()
	return buffer, r.n, nil
}

// tryRead reports false if there is nothing to read yet.
func (r *readyReader) tryRead(fd uintptr) bool {
	buffer := r.pool.Get(r.size)
	r.n, r.err = readNow(fd, *buffer)
	for errors.Is(r.err, syscall.EINTR) {
		r.n, r.err = readNow(fd, *buffer)
	}
	if r.n > 0 {
		r.buffer = buffer
		return true
	}
	r.pool.Put(buffer)
	return !errors.Is(r.err, syscall.EAGAIN)
}
