package listen

import (
	"net"
	"testing"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/caller"
)

// Or it would close each connection when the budget is spent, and have a new one with the next.
func TestACallerThatComesBackFindsItsDebt(t *testing.T) {
	t.Parallel()
	bounds := NewBounds()
	first, leave := bounds.join("flooder")
	first.spend(2 * callerFrames)
	leave()
	again, leave := bounds.join("flooder")
	if again.debt() <= 0 {
		t.Error("its debt is forgotten")
	}
	leave()
	_, leave = bounds.join("modest")
	leave()
	bounds.join("somebody")
	if len(bounds.callers) != 2 {
		t.Errorf("%d callers are remembered, want the flooder and somebody", len(bounds.callers))
	}
}

func TestDebtIsPaidWithinSeconds(t *testing.T) {
	t.Parallel()
	for name, a := range map[string]*allowance{"strangers": NewBounds().strangers, "a caller": NewBounds().newAllowance(callerFrames)} {
		for range 100 {
			a.spend(callerFrames)
		}
		if owed := a.debt(); owed < maxFrameDebt/2 || owed > 3*maxFrameDebt {
			t.Errorf("%s: %v are owed, want about 2 s", name, owed)
		}
	}
}

func TestACallThatEndsWithItsConnectionIsCountedOnce(t *testing.T) {
	t.Parallel()
	bounds := NewBounds()
	of, _ := bounds.join("somebody")
	w := newWire(t, of)
	w.server.in = frameReader{} // behind the preface
	w.server.receive([]byte{0, 0, 0, byte(frameHeaders), flagEndHeaders, 0, 0, 0, 1})
	w.server.Close()
	w.server.exceed(1) // the reader comes too late
	if used := bounds.calls.used.Load(); used != 0 {
		t.Errorf("%d places are used after the end", used)
	}
}

// A connection that gave way must not go on holding what its goroutine has.
func TestNobodySleepsForAClosedConnection(t *testing.T) {
	t.Parallel()
	ours, theirs := net.Pipe()
	defer theirs.Close()
	closed := newConn(ours, nil, caller.Identity{})
	go closed.Close()
	if sleep(time.Hour, closed.gone) {
		t.Error("slept to the end")
	}
}
