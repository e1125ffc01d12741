package ratelimit

import (
	"context"
	"errors"
	"net"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// What a server may say in answer to one request, greetings included. A decision
// is a handful of numbers; the library would make room for any length announced.
const (
	maxAnswer   = 16 << 10 // bytes, also of one string
	maxElements = 64       // of one array or map
)

var errNotRedis = errors.New("what came back is not an answer of redis")

// guardedDialer connects as the library would, and guards what it reads.
func guardedDialer(options *redis.Options) func(context.Context, string, string) (net.Conn, error) {
	dial := redis.NewDialer(options)
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		guarded := &guard{Conn: conn}
		if raw, ok := conn.(syscall.Conn); ok { // by which the library sees that a server has hung up
			return rawGuard{guarded, raw}, nil
		}
		return guarded, nil
	}
}

type rawGuard struct {
	*guard
	syscall.Conn
}

// guard follows the lengths that a server announces, and breaks off before the
// library believes one that is too large. See
// https://redis.io/docs/latest/develop/reference/protocol-spec/
type guard struct {
	net.Conn
	answered int  // bytes since the last request
	kind     byte // of the line that is being read; 0: none yet
	length   int  // that it announces so far
	payload  int  // bytes of a string still to come
	refused  bool
}

// Write begins a new request.
func (g *guard) Write(p []byte) (int, error) {
	g.answered = 0
	return g.Conn.Write(p)
}

// Read fails with errNotRedis, and goes on failing, at what no answer can be.
func (g *guard) Read(p []byte) (int, error) {
	n, err := g.Conn.Read(p)
	g.answered += n
	if g.refused = g.refused || g.answered > maxAnswer || !g.follow(p[:n]); g.refused {
		return 0, errNotRedis
	}
	return n, err
}

func (g *guard) follow(b []byte) bool {
	for len(b) > 0 {
		if skipped := min(g.payload, len(b)); skipped > 0 {
			g.payload -= skipped
			b = b[skipped:]
			continue
		}
		if !g.next(b[0]) {
			return false
		}
		b = b[1:]
	}
	return true
}

// next takes one byte of a line.
func (g *guard) next(c byte) bool {
	switch {
	case g.kind == 0:
		g.kind, g.length = c, 0
	case c == '\n':
		if isString(g.kind) && g.length >= 0 {
			g.payload = g.length + len("\r\n")
		}
		g.kind = 0
	case isString(g.kind):
		return g.digit(c, maxAnswer)
	case isAggregate(g.kind):
		return g.digit(c, maxElements)
	}
	return true
}

// digit takes one byte of a length.
func (g *guard) digit(c byte, most int) bool {
	switch {
	case c == '\r':
	case c == '-' && g.length == 0:
		g.length = -1 // there is none: "$-1"
	case c < '0' || c > '9':
		return false
	case g.length < 0:
		return c == '1'
	default:
		g.length = 10*g.length + int(c-'0')
	}
	return g.length <= most
}

func isString(kind byte) bool { return kind == '$' || kind == '!' || kind == '=' }

func isAggregate(kind byte) bool {
	return kind == '*' || kind == '%' || kind == '~' || kind == '>' || kind == '|'
}
