package listen

import (
	"errors"
	"io"
	"math"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

// unread is a connection of a caller on which nothing comes, and what it has reported.
func unread(t *testing.T, of *allowance) (*traffic, *[]string) {
	t.Helper()
	ours, theirs := net.Pipe()
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	kinds := new([]string)
	return newTraffic(ours, ours, of, func(kind string) { *kinds = append(*kinds, kind) }), kinds
}

// Idle frames are free up to what a connection has of its own and then to what its caller has.
// Beyond that the reader sleeps until they are paid for, a second at most, and what is left counts
// against the connection.
func TestIdleFramesArePaidFor(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		frames    int64
		before    int // how often it owed too much before
		slept     time.Duration
		overdrawn int
		kinds     []string
	}{
		"none":                    {0, 3, 0, 3, nil},
		"a credit":                {-8, 3, 0, 3, nil},
		"the connection's own":    {connectionFloor, 3, 0, 3, nil},
		"its caller's":            {connectionFloor + 1, 3, 0, 0, nil},
		"all of its caller's":     {callerFrames, 3, 0, 0, nil},
		"half a second more":      {callerFrames * 3 / 2, 3, time.Second / 2, 0, []string{kindFrameBudget}},
		"a second more":           {callerFrames * 2, 3, time.Second, 0, []string{kindFrameBudget}},
		"more than a second more": {callerFrames * 3, 3, time.Second, 4, []string{kindFrameBudget}},
		"more than that, once too often": {
			callerFrames * 3, maxOverdrawn, farewellTimeout, maxOverdrawn, []string{kindFrameFlood},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				of, _ := NewBounds().join("somebody")
				server, kinds := unread(t, of)
				server.overdrawn, server.owedAt = test.before, time.Now()
				server.over.Store(true) // that it closes is no news
				server.debt.Store(test.frames)
				began := time.Now()
				slept, err := server.pay()
				if took := time.Since(began); slept != (test.kinds != nil) || took != test.slept {
					t.Errorf("slept %t, for %v, want %v", slept, took, test.slept)
				}
				if (err != nil) != slices.Contains(test.kinds, kindFrameFlood) || !slices.Equal(*kinds, test.kinds) {
					t.Errorf("error %v, reported %v, want %v", err, *kinds, test.kinds)
				}
				if server.overdrawn != test.overdrawn {
					t.Errorf("it owed too much %d times, want %d", server.overdrawn, test.overdrawn)
				}
				if left := server.debt.Load(); left != min(test.frames, 0) {
					t.Errorf("%d frames are left to be paid for", left)
				}
			})
		})
	}
}

func TestADebtIsRememberedForTenSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		of, _ := NewBounds().join("somebody")
		server, _ := unread(t, of)
		for _, test := range []struct {
			after     time.Duration
			overdrawn int
		}{{overdrawnFor, 4}, {overdrawnFor + 1, 1}} {
			server.overdrawn, server.owedAt = 3, time.Now().Add(-test.after)
			server.debt.Store(callerFrames * 3)
			if _, err := server.pay(); err != nil || server.overdrawn != test.overdrawn {
				t.Errorf("after %v it owed too much %d times, want %d; error %v", test.after, server.overdrawn, test.overdrawn, err)
			}
			time.Sleep(time.Minute)
		}
	})
}

// Large header blocks within the budget are not reported, and nobody sleeps for them.
func TestHeaderBlocksArePaidFor(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		bytes, times int
		slept        time.Duration
		kinds        []string
	}{
		"none":              {0, 1, 0, nil},
		"the whole budget":  {callerHeadersBurst, 1, 0, nil},
		"the budget, twice": {callerHeadersBurst, 2, time.Second / 4, []string{kindHeaders}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				of, _ := NewBounds().join("somebody")
				server, kinds := unread(t, of)
				began := time.Now()
				for range test.times {
					server.headers = test.bytes
					slept, err := server.payHeaders(false)
					if err != nil || slept != (*kinds != nil) || server.headers != 0 {
						t.Errorf("slept %t, error %v, %d bytes left", slept, err, server.headers)
					}
				}
				if took := time.Since(began); took != test.slept || !slices.Equal(*kinds, test.kinds) {
					t.Errorf("took %v, reported %v; want %v, %v", took, *kinds, test.slept, test.kinds)
				}
			})
		})
	}
}

// Answered calls excuse idle frames in advance, up to a bound.
func TestCreditHasABound(t *testing.T) {
	t.Parallel()
	of, _ := NewBounds().join("somebody")
	server, _ := unread(t, of)
	for range 1000 {
		server.apply(change{idle: -answerCredit})
	}
	if credit := -server.debt.Load(); credit != maxCredit {
		t.Errorf("%d frames are excused, want %d", credit, maxCredit)
	}
	server.apply(change{idle: 3})
	if credit := -server.debt.Load(); credit != maxCredit-3 {
		t.Errorf("%d frames are excused after 3, want %d", credit, maxCredit-3)
	}
}

// Whoever opens connections and calls only to drop them pays for both.
func TestAClosedConnectionHasACost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		of, _ := NewBounds().join("somebody")
		server, _ := unread(t, of)
		for id := uint32(1); id <= 9; id += 2 {
			server.apply(server.streams.received(client(frameHeaders, id, 50, flagEndHeaders).frame, 0))
		}
		server.exceed(9)
		_ = server.Close()
		_ = server.Close()
		spent := callerFrames - int(math.Round(of.frames.Tokens()))
		if want := connectionCost + 5*youngResetCost; spent != want {
			t.Errorf("a connection with 5 open calls cost %d frames, want %d", spent, want)
		}
		if calls, excess := of.calls.held.Load(), server.excess.Load(); calls != 0 || excess != 0 {
			t.Errorf("%d calls and %d in excess are held after the end", calls, excess)
		}
	})
}

// Whoever is slowed down and did not owe too much keeps its calls, however old they are.
func TestWhoeverIsSlowedDownKeepsItsCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		of, _ := NewBounds().join("somebody")
		server, kinds := unread(t, of)
		server.apply(server.streams.received(client(frameHeaders, 1, 50, flagEndHeaders).frame, 0))
		time.Sleep(2 * heldAge)
		server.debt.Store(callerFrames * 3 / 2)
		if slept, err := server.pay(); !slept || err != nil || !slices.Equal(*kinds, []string{kindFrameBudget}) {
			t.Errorf("slept %t, error %v, reported %v", slept, err, *kinds)
		}
	})
}

// Only a call that is opened beyond the share is refused, not one that was there before.
func TestOnlyANewCallIsBeyondTheShare(t *testing.T) {
	t.Parallel()
	of, _ := NewBounds().join("somebody")
	server, _ := unread(t, of)
	server.in = frameReader{} // behind the preface
	for id := byte(1); id <= 11; id += 2 {
		server.receive([]byte{0, 0, 0, byte(frameHeaders), flagEndHeaders, 0, 0, 0, id})
	}
	newPortion(&of.calls).take(maxCalls)
	server.receive([]byte{0, 0, 0, byte(frameData), flagEndStream, 0, 0, 0, 1})
	if excess := server.excess.Load(); excess != 0 || !server.calls.isOver() {
		t.Errorf("%d calls that were open are refused", excess)
	}
	server.receive([]byte{0, 0, 0, byte(frameHeaders), flagEndHeaders, 0, 0, 0, 13})
	if excess := server.excess.Load(); excess != 1 {
		t.Errorf("%d calls are refused, want the newest", excess)
	}
}

// deaf is a TLS connection that waits to say farewell to a client that does not read.
type deaf struct {
	net.Conn
	left chan struct{}
}

func (d deaf) Close() error { <-d.left; return nil }

// leaving is the socket beneath it.
type leaving struct {
	net.Conn
	left chan struct{}
}

func (l leaving) Close() error { close(l.left); return l.Conn.Close() }

func TestAFarewellTakesNoLongerThanItMay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		of, _ := NewBounds().join("somebody")
		left := make(chan struct{})
		server := newTraffic(deaf{ours, left}, leaving{ours, left}, of, func(string) {})
		began := time.Now()
		if err := server.Close(); err != nil || time.Since(began) != farewellTimeout {
			t.Errorf("closed after %v, error %v", time.Since(began), err)
		}
	})
}

// The kernel is asked whether a client is gone only if the client had time to go: what fits in the
// buffer is answered.
func TestACallThatCameWholeIsAnswered(t *testing.T) {
	t.Parallel()
	for size, want := range map[int]error{prefaceSize: io.EOF, prefaceSize + 1: nil} {
		w := newWire(t, NewBounds().strangers)
		if _, err := io.WriteString(w.client, http2.ClientPreface); err != nil {
			t.Fatal(err)
		}
		w.client.Close()
		w.awaitGone(t)
		if n, err := w.server.Read(make([]byte, size)); !errors.Is(err, want) || (n == prefaceSize) != (want == nil) {
			t.Errorf("with room for %d bytes: %d read, error %v", size, n, err)
		}
		if w.server.over.Load() != (want != nil) {
			t.Errorf("with room for %d bytes: the connection is over: %t", size, want == nil)
		}
	}
}
