package redis

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"strconv"
	"strings"
	"syscall"
)

// What a server may say in answer to one request, greetings included. A decision is a handful of
// numbers.
const (
	maxAnswer   = 16 << 10 // bytes
	maxLine     = 4 << 10  // bytes
	maxElements = 64       // of an array or map
)

// The types of RESP that announce a length, by the first byte of their line. See
// https://redis.io/docs/latest/develop/reference/protocol-spec/
const (
	stringTypes    = "$!="
	aggregateTypes = "*%~>|"
)

var errNotRedis = errors.New("what came back is not an answer of redis: check the host and the port")

// boundedConn checks each length that a server announces. go-redis allocates that much before a
// byte of it has come, so a server, or whatever answers in its place, could end the process with
// one line.
type boundedConn struct {
	net.Conn
	buffered *bufio.Reader
	line     []byte // what is left to pass on of the current line
	payload  int    // bytes to pass on after it, of the string that it announced
	answered int    // bytes since the last request
	refused  bool
}

func newBoundedConn(conn net.Conn) *boundedConn {
	return &boundedConn{Conn: conn, buffered: bufio.NewReaderSize(conn, maxLine)}
}

// bounded returns the connection with the bounds.
func bounded(conn net.Conn) net.Conn {
	checked := newBoundedConn(conn)
	if raw, ok := conn.(syscall.Conn); ok { // go-redis needs it to see that a server has hung up
		return struct {
			*boundedConn
			syscall.Conn
		}{checked, raw}
	}
	return checked
}

// Write starts a new request. Nothing of the last answer can be left.
func (c *boundedConn) Write(p []byte) (int, error) {
	if len(c.line)+c.payload+c.buffered.Buffered() > 0 {
		c.refused = true
	}
	if c.refused {
		return 0, errNotRedis
	}
	c.answered = 0
	return c.Conn.Write(p)
}

// Read fails with errNotRedis at what no answer can be, and keeps failing.
func (c *boundedConn) Read(p []byte) (int, error) {
	if len(c.line)+c.payload == 0 {
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	if len(c.line) > 0 {
		n := copy(p, c.line)
		c.line = c.line[n:]
		return n, nil
	}
	n, err := c.buffered.Read(p[:min(len(p), c.payload)])
	c.payload -= n
	return n, err
}

// next reads a line and checks the length that it announces.
func (c *boundedConn) next() error {
	line, err := c.buffered.ReadSlice('\n')
	if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
		return err
	}
	payload := announced(line)
	c.answered += len(line) + payload
	if c.refused = c.refused || err != nil || payload < 0 || c.answered > maxAnswer; c.refused {
		return errNotRedis
	}
	c.line, c.payload = line, payload
	return nil
}

// announced returns how many bytes of a string follow the line; less than 0 if a length in it is
// out of bounds.
func announced(line []byte) int {
	isString, isAggregate := strings.IndexByte(stringTypes, line[0]) >= 0, strings.IndexByte(aggregateTypes, line[0]) >= 0
	if !isString && !isAggregate {
		return 0
	}
	length, err := strconv.Atoi(string(bytes.TrimSuffix(line[1:], []byte("\r\n"))))
	switch {
	case err != nil, length < -1, isString && length > maxAnswer, isAggregate && length > maxElements:
		return -1
	case isAggregate, length == -1: // -1 stands for a string or array that is none
		return 0
	default:
		return length + len("\r\n")
	}
}
