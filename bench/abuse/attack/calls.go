package attack

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
)

// callsEach is how many calls a connection makes before it gives way to
// another, where they change.
const callsEach = 500

// call sends a whole call, each for another customer.
func (c *client) call(block []byte) error {
	id, err := c.begin(block, message)
	if err != nil {
		return err
	}
	customer := &pb.Customer{ExternalId: fmt.Sprintf("attack_%s_%d", c.conn.LocalAddr(), id)}
	payload, err := proto.Marshal(&pb.IssueTokenRequest{Customer: customer})
	if err != nil {
		return err
	}
	body := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(payload)))
	return c.data(id, append(body, payload...), true)
}

// honest makes as many calls as the server allows at the same time, and another
// for each that is answered.
func honest(ctx context.Context, c *client) error { return c.calls(ctx, c.header(issueToken), 1<<30) }

func unknownMethod(ctx context.Context, c *client) error {
	return c.calls(ctx, c.header("/no.Service/Method"), 1<<30)
}

// longTimeout makes calls that may take as long as can be said, over one
// connection after another.
func longTimeout(ctx context.Context, c *client) error {
	return c.calls(ctx, c.header(issueToken, hpack.HeaderField{Name: "grpc-timeout", Value: "99999999H"}), callsEach)
}

func (c *client) calls(ctx context.Context, block []byte, most int) error {
	for range most {
		if err := c.awaitPlace(ctx); err != nil {
			return err
		}
		if err := c.call(block); err != nil {
			return err
		}
	}
	for c.open.Load() > 0 { // the last answers
		if err := c.pause(ctx); err != nil {
			return err
		}
	}
	return nil
}

// keepalive holds one health watch and pings ten times a second.
func keepalive(ctx context.Context, c *client) error {
	if err := c.watch(c.header(healthWatch)); err != nil {
		return err
	}
	for last := time.Now(); ; {
		if err := c.pause(ctx); err != nil {
			return err
		}
		if time.Since(last) < time.Second/10 {
			continue
		}
		last = time.Now()
		c.attacker.sent.Add(1)
		if err := ping(c.frames); err != nil {
			return err
		}
	}
}
