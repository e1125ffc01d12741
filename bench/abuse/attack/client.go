package attack

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Methods that are called.
const (
	issueToken  = "/chatidentity.v1.ChatIdentityService/IssueToken"
	healthWatch = "/grpc.health.v1.Health/Watch"
)

const (
	bufferSize    = 32 << 10
	initialWindow = 65535
	maxFrame      = 16 << 10
	poll          = 2 * time.Millisecond
)

// client is an HTTP/2 connection. One goroutine writes; another reads what the
// server says, if anybody does.
type client struct {
	attacker *attacker
	conn     net.Conn
	out      *bufio.Writer
	frames   *http2.Framer
	next     uint32 // stream

	open    atomic.Int64  // streams that the server has not ended
	most    atomic.Int64  // streams that it allows
	window  atomic.Int64  // bytes of DATA that it allows
	readErr chan struct{} // closed when the server has closed the connection
}

// connect sends the preface. A deaf client reads nothing.
func connect(a *attacker, conn net.Conn, deaf bool, settings ...http2.Setting) (*client, error) {
	c := &client{attacker: a, conn: conn, next: 1, readErr: make(chan struct{})}
	c.out = bufio.NewWriterSize(conn, bufferSize)
	c.most.Store(100)
	c.window.Store(initialWindow)
	c.frames = http2.NewFramer(c.out, nil)
	c.frames.AllowIllegalWrites = true
	if _, err := c.out.WriteString(http2.ClientPreface); err != nil {
		return nil, err
	}
	if err := c.frames.WriteSettings(settings...); err != nil {
		return nil, err
	}
	// Room for all replies to come, so that the reader never needs to write.
	if err := c.frames.WriteWindowUpdate(0, 1<<30); err != nil {
		return nil, err
	}
	if !deaf {
		go c.read()
	}
	return c, c.out.Flush()
}

func (c *client) read() {
	defer close(c.readErr)
	frames := http2.NewFramer(io.Discard, bufio.NewReaderSize(c.conn, bufferSize))
	frames.SetReuseFrames()
	for {
		frame, err := frames.ReadFrame()
		if err != nil {
			_ = c.conn.Close() // so that the writer notices
			return
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if most, ok := frame.Value(http2.SettingMaxConcurrentStreams); ok {
				c.most.Store(int64(most))
			}
		case *http2.WindowUpdateFrame:
			if frame.StreamID == 0 {
				c.window.Add(int64(frame.Increment))
			}
		case *http2.RSTStreamFrame:
			c.open.Add(-1)
		case *http2.HeadersFrame:
			if frame.StreamEnded() {
				c.open.Add(-1)
			}
		}
	}
}

// header returns a header block that can be sent any number of times.
func (c *client) header(method string, more ...hpack.HeaderField) []byte {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	encoder.SetMaxDynamicTableSize(0)
	fields := []hpack.HeaderField{
		{Name: ":method", Value: "POST"},
		{Name: ":scheme", Value: "http"},
		{Name: ":path", Value: method},
		{Name: ":authority", Value: "localhost"},
		{Name: "content-type", Value: "application/grpc"},
		{Name: "te", Value: "trailers"},
	}
	if c.attacker.spec.Bearer != "" {
		fields = append(fields, hpack.HeaderField{Name: "authorization", Value: "Bearer " + c.attacker.spec.Bearer})
	}
	for _, field := range append(fields, more...) {
		_ = encoder.WriteField(field) // to memory
	}
	return block.Bytes()
}

// begin opens a stream.
func (c *client) begin(block []byte, flags begin) (uint32, error) {
	id := c.next
	c.next += 2
	c.open.Add(1)
	c.attacker.sent.Add(1)
	first, rest := block[:min(len(block), maxFrame)], block[min(len(block), maxFrame):]
	err := c.frames.WriteHeaders(http2.HeadersFrameParam{
		StreamID: id, BlockFragment: first, EndStream: flags == ended, EndHeaders: flags != unended && len(rest) == 0,
	})
	for err == nil && len(rest) > 0 {
		first, rest = rest[:min(len(rest), maxFrame)], rest[min(len(rest), maxFrame):]
		err = c.frames.WriteContinuation(id, flags != unended && len(rest) == 0, first)
	}
	return id, err
}

// begin says what comes after HEADERS.
type begin int

const (
	message begin = iota // DATA
	ended                // nothing: END_STREAM
	unended              // CONTINUATION
)

// data sends a body within the connection's window. Streams have 64 KiB each,
// and who exceeds them means to.
func (c *client) data(id uint32, body []byte, end bool) error {
	if len(body) > maxFrame {
		if err := c.data(id, body[:maxFrame], false); err != nil {
			return err
		}
		body = body[maxFrame:]
	}
	for c.window.Load() < int64(len(body)) {
		if err := c.pause(context.Background()); err != nil {
			return err
		}
	}
	c.window.Add(-int64(len(body)))
	return c.frames.WriteData(id, end, body)
}

// awaitPlace returns when the server allows one more stream.
func (c *client) awaitPlace(ctx context.Context) error {
	for c.open.Load() >= c.most.Load() {
		if err := c.pause(ctx); err != nil {
			return err
		}
	}
	return nil
}

var errClosed = errors.New("the server has closed the connection")

// pause sends what is buffered and waits an instant.
func (c *client) pause(ctx context.Context) error {
	if err := c.out.Flush(); err != nil {
		return err
	}
	select {
	case <-c.readErr:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(poll):
		return nil
	}
}

// hold does nothing until the server closes the connection or ctx ends.
func (c *client) hold(ctx context.Context) error {
	for {
		if err := c.pause(ctx); err != nil {
			return err
		}
	}
}
