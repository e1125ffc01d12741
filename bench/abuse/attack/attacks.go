package attack

import (
	"context"
	"net"

	"golang.org/x/net/http2"
)

// attack is what happens over one connection. It returns when the connection
// has ended, or nil when it wants another one.
type attack struct {
	raw bool // the bare connection, even where others speak TLS
	run func(ctx context.Context, a *attacker, conn net.Conn) error
}

// attacks are all there are, by name.
var attacks = map[string]attack{
	// Held: see held.go.
	"unfinished-message": speaking(hold(5)),
	"large-metadata":     speaking(hold(5, largeMetadata)),
	"refused-metadata":   speaking(hold(5, refusedMetadata)),
	"unended-fields":     speaking(unendedFields),
	"gzip-bombs":         speaking(bombs),
	"many-fields":        speaking(hold(5, manyFields...)),
	"one-byte-short":     speaking(hold(5 + messageSize - 1)),
	"unended-headers":    speaking(unendedHeaders),
	"window-zero":        speaking(unread, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}),
	"never-reads":        {run: neverReads},
	"watch":              speaking(watches),
	// Resets: see resets.go.
	"rapid-reset":          speaking(rapidReset),
	"rapid-reset-complete": speaking(rapidResetComplete),
	"window-update-zero":   speaking(madeToReset(windowUpdateZero)),
	"window-overflow":      speaking(madeToReset(windowOverflow)),
	"data-over-window":     speaking(madeToReset(dataOverWindow)),
	"data-after-end":       speaking(madeToReset(dataAfterEnd)),
	// Floods: see floods.go.
	"ping":               speaking(flood(ping)),
	"settings":           speaking(flood(settings)),
	"priority":           speaking(flood(priority)),
	"window-update":      speaking(flood(windowUpdate)),
	"goaway":             speaking(flood(goAway)),
	"unknown-frame":      speaking(flood(unknownFrame)),
	"idle-reset":         speaking(flood(idleReset)),
	"empty-data":         speaking(emptyData),
	"empty-continuation": speaking(emptyContinuation),
	// Calls: see calls.go.
	"honest":         speaking(honest),
	"unknown-method": speaking(unknownMethod),
	"long-timeout":   speaking(longTimeout),
	// Connections: see connections.go.
	"silent":       {raw: true, run: silent},
	"client-hello": {raw: true, run: clientHello},
	"handshake":    {raw: true, run: handshake},
	"idle":         speaking(func(ctx context.Context, c *client) error { return c.hold(ctx) }),
	"slow-http":    {raw: true, run: slowHTTP},
	// No attack: what a good client may do.
	"keepalive": speaking(keepalive),
}

// speaking makes an attack of what a client does once it speaks HTTP/2.
func speaking(run func(context.Context, *client) error, settings ...http2.Setting) attack {
	return attack{run: func(ctx context.Context, a *attacker, conn net.Conn) error {
		c, err := connect(a, conn, false, settings...)
		if err != nil {
			return err
		}
		return run(ctx, c)
	}}
}
