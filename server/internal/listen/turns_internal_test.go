package listen

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"
)

// One handshake after the other has its turn: until its first answer, its end, or the connection's.
func TestHandshakesTakeTurns(t *testing.T) {
	t.Parallel()
	for name, finish := range map[string]func(*greeting){
		"answered":       func(g *greeting) { _, _ = g.Write(nil); _, _ = g.Write(nil); g.end() },
		"failed":         func(g *greeting) { g.end(); g.end() },
		"not its own":    func(g *greeting) { (&greeting{conn: g.conn}).end(); g.end() },
		"closed, failed": func(g *greeting) { _ = g.Close(); g.end() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := &Listener{turns: newTurns()}
				greet := func() *greeting {
					ours, theirs := net.Pipe()
					_ = theirs.Close()
					return &greeting{conn: &conn{Conn: ours, listener: l, gone: make(chan struct{})}}
				}
				first, second, left := greet(), greet(), greet()
				began := make(chan error, 2)
				if _, err := first.begin(nil); err != nil {
					t.Fatal(err)
				}
				go func() { _, err := second.begin(nil); began <- err }()
				gaveUp := make(chan error, 1)
				go func() { _, err := left.begin(nil); gaveUp <- err }()
				_ = left.Close()
				if err := <-gaveUp; !errors.Is(err, net.ErrClosed) {
					t.Errorf("a connection that closed in line: %v", err)
				}
				synctest.Wait()
				select {
				case err := <-began:
					t.Fatalf("two have a turn at once: %v", err)
				default:
				}
				finish(first)
				if err := <-began; err != nil {
					t.Error(err)
				}
				if len(l.turns) != 1 {
					t.Errorf("%d have a turn, want the second alone", len(l.turns))
				}
				second.end()
				l.turns.wait(nil) // returns: nobody has a turn
			})
		})
	}
}
