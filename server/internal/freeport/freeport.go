// Package freeport finds ports for programs of tests that cannot choose one themselves.
package freeport

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
)

var given sync.Map

// Get returns a TCP port that nobody listens on now, and another one each time. It is below those
// that Linux hands out by default, so that hardly anybody takes it before the program listens, or
// while it is restarted.
func Get(tb testing.TB) string {
	tb.Helper()
	const lowest, count, tries = 10_000, 20_000, 100
	var err error
	for range tries {
		port := strconv.Itoa(lowest + rand.IntN(count)) //nolint:gosec // it need not be hard to guess
		if _, again := given.LoadOrStore(port, true); again {
			continue
		}
		var listener net.Listener
		if listener, err = new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:"+port); err == nil {
			_ = listener.Close()
			return port
		}
	}
	tb.Fatal(err)
	return ""
}
