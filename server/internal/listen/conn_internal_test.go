//go:build unix

package listen

import (
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/caller"
)

// socketOf returns a listener on a unix socket, and what it has reported.
func socketOf(t *testing.T, options Options) (*Listener, func() []string) {
	t.Helper()
	var mu sync.Mutex
	var kinds []string
	options.Refused = func(r Refusal) {
		mu.Lock()
		defer mu.Unlock()
		kinds = append(kinds, r.Kind)
	}
	address := Address{Network: "unix", Address: filepath.Join(t.TempDir(), "s"), SocketMode: 0o600}
	listener, err := Open(t.Context(), address, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(kinds)
	}
}

// join returns both ends of a new connection.
func join(t *testing.T, listener *Listener) (net.Conn, *conn) {
	t.Helper()
	dialed, err := net.Dial(listener.Addr().Network(), listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	CloseIfStuck(t, listener, dialed)
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialed.Close(); accepted.Close() })
	return dialed, accepted.(*conn)
}

func TestAConnectionIsHeardOnceItSentSomething(t *testing.T) {
	t.Parallel()
	listener, _ := socketOf(t, Options{})
	dialed, c := join(t, listener)
	if isHeard(c) || isHeard(dialed) {
		t.Error("a silent connection, or another's, is heard")
	}
	if _, err := dialed.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if !isHeard(c) || c.heard.Load() {
		t.Error("what was not read yet is not heard")
	}
	if _, err := c.Read(make([]byte, 9)); err != nil || !isHeard(c) {
		t.Errorf("what was read is not heard, error %v", err)
	}
	silent, c := join(t, listener)
	if err := silent.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 9)); err == nil || isHeard(c) {
		t.Errorf("the end is heard, error %v", err)
	}
}

func TestAConnectionIsBusyWhileCallsAreOpen(t *testing.T) {
	t.Parallel()
	listener, _ := socketOf(t, Options{})
	dialed, c := join(t, listener)
	if isBusy(dialed) || isBusy(c) {
		t.Error("a connection is busy before its handshake")
	}
	server := c.follow(c, c.identity)
	if isBusy(c) {
		t.Error("a connection without calls is busy")
	}
	server.calls.take(1)
	if !isBusy(c) {
		t.Error("a connection with a call is not busy")
	}
}

// A user that is listed has a place of its own from the start. One that is not stays a stranger,
// whatever it sends, and is reported.
func TestOnlyAListedUserHasAPlaceOfItsOwn(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		unlisted         bool
		strangers, known int
		kinds            []string
	}{
		"listed":   {false, 0, 1, nil},
		"unlisted": {true, 1, 0, []string{kindUnlisted}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			listener, reported := socketOf(t, Options{IsStranger: func(caller.Identity) bool { return test.unlisted }})
			_, c := join(t, listener)
			connection, info, err := Credentials().ServerHandshake(c)
			if err != nil || info.(*Connection).Caller.Kind != caller.UID {
				t.Fatalf("%+v, error %v", info, err)
			}
			connection.(*traffic).apply(change{whole: true})
			if strangers, known := listener.strangers.count(), listener.known.count(); strangers != test.strangers || known != test.known {
				t.Errorf("%d strangers and %d known, want %d and %d", strangers, known, test.strangers, test.known)
			}
			if kinds := reported(); !slices.Equal(kinds, test.kinds) {
				t.Errorf("reported %v, want %v", kinds, test.kinds)
			}
			if c.Close(); listener.strangers.count()+listener.known.count() != 0 {
				t.Error("its place is still taken after the end")
			}
		})
	}
}

// Whoever has proven who it is gives its place among the strangers back, and its time is no longer
// bounded.
func TestWhoIsProvenIsNoStrangerAnyMore(t *testing.T) {
	t.Parallel()
	listener, reported := socketOf(t, Options{IsStranger: func(caller.Identity) bool { return true }})
	_, c := join(t, listener)
	if !c.settle(c.identity) || listener.strangers.count() != 0 || listener.known.count() != 1 {
		t.Errorf("%d strangers and %d known", listener.strangers.count(), listener.known.count())
	}
	if c.expiry.Stop() {
		t.Error("its time still runs")
	}
	c.expire() // too late
	if kinds := reported(); !slices.Equal(kinds, []string{kindUnlisted}) || listener.known.count() != 1 {
		t.Errorf("reported %v", kinds)
	}
	if _, c := join(t, listener); c.Close() != nil || c.expiry.Stop() || c.settle(c.identity) || listener.known.count() != 1 {
		t.Error("a closed connection has time or a place")
	}
}

// Everyone on loopback is a stranger until the first whole request.
func TestOnLoopbackARequestProvesWhoItIs(t *testing.T) {
	t.Parallel()
	listener, err := Open(t.Context(), Address{Network: "tcp", Address: "127.0.0.1:0"}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, accepted := join(t, listener)
	connection, _, err := Credentials().ServerHandshake(accepted)
	if err != nil || listener.known.count() != 0 {
		t.Errorf("%d known before a request, error %v", listener.known.count(), err)
	}
	connection.(*traffic).apply(change{whole: true})
	if strangers, known := listener.strangers.count(), listener.known.count(); strangers != 0 || known != 1 {
		t.Errorf("%d strangers and %d known after it", strangers, known)
	}
}

// A caller that has all its places gets one more only if one of its connections is idle.
func TestABusyConnectionNeverGivesWay(t *testing.T) {
	t.Parallel()
	listener, reported := socketOf(t, Options{})
	listener.known.most = 2
	listener.pace.SetLimit(0) // what strangers have of it does not come back
	var all []*conn
	for range 2 {
		_, c := join(t, listener)
		c.follow(c, c.identity).calls.take(1)
		all = append(all, c)
	}
	newcomer := newConn(all[0].Conn, listener, all[0].identity)
	newcomer.Conn, _ = net.Pipe()
	if newcomer.enter() || !newcomer.closed || all[0].closed || all[1].closed {
		t.Error("a newcomer got a place from a busy connection")
	}
	all[1].traffic.Load().calls.take(-1)
	_, last := join(t, listener)
	if last.closed || all[0].closed || !all[1].closed {
		t.Error("the idle connection did not give way")
	}
	if kinds := reported(); !slices.Equal(kinds, []string{kindPlaces, kindPlaces}) {
		t.Errorf("reported %v", kinds)
	}
	if left := listener.pace.Tokens(); left != strangerBurst {
		t.Errorf("strangers wait for a caller's connections: %v are left", left)
	}
}

// A connection is counted among its caller's until it closes, however late its handshake ends.
func TestAConnectionLeavesItsCallerOnce(t *testing.T) {
	t.Parallel()
	bounds := NewBounds()
	listener, _ := socketOf(t, Options{Bounds: bounds})
	_, first := join(t, listener)
	_, second := join(t, listener)
	first.follow(first, first.identity)
	second.follow(second, second.identity)
	of := bounds.callers[first.identity.String()]
	if of.connections != 2 {
		t.Errorf("%d connections, want 2", of.connections)
	}
	_ = first.Close()
	_ = first.Close()
	if of.connections != 1 {
		t.Errorf("%d connections, want 1", of.connections)
	}
	_ = second.Close()
	second.follow(second, second.identity)
	if of.connections != 0 {
		t.Errorf("%d connections, want none", of.connections)
	}
}

// A caller that owes idle frames waits before its next connection, a second at most. On loopback
// everyone is one caller, and nobody waits for another.
func TestWhoeverOwesFramesWaitsBeforeTheNextConnection(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		kind   caller.Kind
		frames int // spent before
		waits  time.Duration
		kinds  []string
	}{
		"nothing spent":      {caller.UID, 0, 0, nil},
		"just what it has":   {caller.UID, callerFrames, 0, nil},
		"half a second more": {caller.UID, callerFrames * 3 / 2, time.Second / 2, []string{kindFrameBudget}},
		"much more":          {caller.Certificate, callerFrames * 9, maxFrameDebt, []string{kindFrameBudget}},
		"much, on loopback":  {caller.Loopback, callerFrames * 9, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				defer theirs.Close()
				var kinds []string
				l := &Listener{options: Options{Refused: func(r Refusal) { kinds = append(kinds, r.Kind) }}}
				of, _ := NewBounds().join("somebody")
				of.spend(test.frames)
				c := newConn(ours, l, caller.Identity{})
				defer c.Close()
				began := time.Now()
				c.pause(caller.Identity{Kind: test.kind}, of)
				if waited := time.Since(began); waited != test.waits || !slices.Equal(kinds, test.kinds) {
					t.Errorf("waited %v, reported %v; want %v, %v", waited, kinds, test.waits, test.kinds)
				}
			})
		})
	}
}
