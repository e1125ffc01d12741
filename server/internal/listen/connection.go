package listen

import (
	"context"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/chatidentity/chatidentity/server/internal/caller"
)

// Connection is what is known about a connection. grpc gives it to each call as its peer's AuthInfo.
// The zero value is a connection of nobody.
type Connection struct {
	credentials.CommonAuthInfo

	Caller      caller.Identity // at the other end
	certificate *certificate    // nil without TLS
	traffic     *traffic        // nil in the zero value
}

// AuthType implements credentials.AuthInfo.
func (*Connection) AuthType() string { return protocol }

const protocol = "peer"

// ConnectionOf returns the connection of a call, or the zero value if it did not come from a Listener.
func ConnectionOf(ctx context.Context) *Connection {
	if p, ok := peer.FromContext(ctx); ok {
		if connection, ok := p.AuthInfo.(*Connection); ok {
			return connection
		}
	}
	return &Connection{}
}

// IsTrusted reports whether the connection would be accepted if it were new: its client certificate,
// if it has one, has not expired and is signed by a CA that is trusted now.
func (c *Connection) IsTrusted(now time.Time) bool {
	return c.certificate == nil || c.certificate.isTrusted(now)
}

// IsOver reports whether the connection, or its caller, has more calls open or holds more than its
// share of what all connections may.
func (c *Connection) IsOver() bool {
	return c.traffic != nil && (c.traffic.excess.Load() > 0 || c.traffic.bytes.isOver())
}

// refusalCost is what a refused call spends of the budget of idle frames: it is dearer than a frame, and
// its answer is no credit.
const refusalCost = answerCredit + 8

// SpendRefusals counts calls that were refused through their caller's fault, or one call that cost as
// much as n: a flood of them is slowed down as one of idle frames is.
func (c *Connection) SpendRefusals(n int) {
	if c.traffic != nil {
		c.traffic.debt.Add(int64(n) * refusalCost)
	}
}

// HoldStream takes a place for a stream that lasts as long as its client likes. Call release once when
// it ends; it is nil if the caller has its share of them.
func (c *Connection) HoldStream() (release func()) { //nolint:nonamedreturns // says what it is for
	t := c.traffic
	if t == nil {
		return nil
	}
	t.lasting.take(1)
	if t.lasting.isOver() {
		t.lasting.take(-1)
		return nil
	}
	return func() { t.lasting.take(-1) }
}

// HoldMetadata counts a call's metadata until the context of the call ends, and reports whether the
// connection, and its caller, may hold that much.
func (c *Connection) HoldMetadata(ctx context.Context, bytes int) bool {
	t := c.traffic
	if t == nil {
		return false
	}
	t.metadata.take(int64(bytes))
	if t.metadata.isOver() {
		t.metadata.take(int64(-bytes))
		return false
	}
	context.AfterFunc(ctx, func() { t.metadata.take(int64(-bytes)) })
	return true
}

// Explain says that a call is about to be answered with an error that somebody has given a reason for.
// Without that, an answer that is an error alone counts as the transport's own.
func (c *Connection) Explain() {
	if c.traffic != nil {
		c.traffic.streams.explain()
	}
}

// TakeBack says that the call that was explained last goes on: the error was none.
func (c *Connection) TakeBack() {
	if c.traffic != nil {
		c.traffic.streams.takeBack()
	}
}

// CutOff closes the connection. It is for calls that cannot be answered without holding something for
// as long as their client likes.
func (c *Connection) CutOff() {
	if c.traffic != nil {
		_ = c.traffic.cutOff(kindHeldCalls)
	}
}
