package listen

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
)

// connectionOf is a connection of a caller with its traffic.
func connectionOf(t *testing.T, of *allowance) *Connection {
	t.Helper()
	return &Connection{traffic: newWire(t, of).server}
}

func TestAConnectionOfNobodyMayHoldNothing(t *testing.T) {
	t.Parallel()
	var nobody Connection
	if nobody.IsOver() || nobody.HoldStream() != nil || nobody.HoldMetadata(t.Context(), 1) {
		t.Error("nobody holds something")
	}
	nobody.SpendRefusals(1)
	nobody.Explain()
	nobody.TakeBack()
	nobody.CutOff()
}

func TestARefusalCostsMoreThanAFrame(t *testing.T) {
	t.Parallel()
	c := connectionOf(t, NewBounds().strangers)
	c.SpendRefusals(3)
	if debt := c.traffic.debt.Load(); debt != 3*(answerCredit+8) {
		t.Errorf("3 refusals cost %d idle frames", debt)
	}
}

func TestAConnectionIsOverItsShare(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		take func(*traffic)
		over bool
	}{
		"nothing":        {func(*traffic) {}, false},
		"a call":         {func(tr *traffic) { tr.calls.take(1) }, false},
		"excess":         {func(tr *traffic) { tr.excess.Add(1) }, true},
		"too many bytes": {func(tr *traffic) { tr.bytes.take(maxHeldBytes) }, true},
	} {
		of, _ := NewBounds().join("somebody")
		c := connectionOf(t, of)
		test.take(c.traffic)
		if c.IsOver() != test.over {
			t.Errorf("%s: it is over its share: %t", name, !test.over)
		}
	}
}

// A caller gets its share of long streams, and has their places back when they end.
func TestLongStreamsHavePlaces(t *testing.T) {
	t.Parallel()
	bounds := NewBounds()
	of, _ := bounds.join("somebody")
	c := connectionOf(t, of)
	var held []func()
	for release := c.HoldStream(); release != nil; release = c.HoldStream() {
		held = append(held, release)
	}
	if n := int(bounds.streams.used.Load()); n != len(held) || n < maxLongStreams/4 || n > maxLongStreams/2 {
		t.Errorf("%d streams are held, %d places used, of %d", len(held), n, maxLongStreams)
	}
	for _, release := range held {
		release()
	}
	if n := bounds.streams.used.Load(); n != 0 {
		t.Errorf("%d places are used afterwards", n)
	}
}

// Metadata is held until its call ends, and what would be too much is not held at all.
func TestMetadataIsHeldUntilItsCallEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bounds := NewBounds()
		of, _ := bounds.join("somebody")
		ours, theirs := net.Pipe()
		defer ours.Close()
		defer theirs.Close()
		c := &Connection{traffic: newTraffic(ours, ours, of, func(string) {})}
		const much = maxMetadataBytes / 4
		call, end := context.WithCancel(t.Context())
		if !c.HoldMetadata(call, much) || c.HoldMetadata(call, 4*much) || bounds.metadata.used.Load() != much {
			t.Errorf("%d bytes are held, want a quarter of the pool", bounds.metadata.used.Load())
		}
		end()
		synctest.Wait()
		if used := bounds.metadata.used.Load(); used != 0 {
			t.Errorf("%d bytes are held after the call", used)
		}
	})
}

// Strangers together hold a small part of what callers may, and none of theirs.
func TestStrangersHaveASmallPartOfTheirOwn(t *testing.T) {
	t.Parallel()
	bounds := NewBounds()
	of := bounds.strangers
	for name, test := range map[string]struct {
		of    *share
		all   *pool
		parts int64
	}{
		"calls":    {&of.calls, &bounds.calls, 18},
		"bytes":    {&of.bytes, &bounds.bytes, 16},
		"streams":  {&of.streams, &bounds.streams, maxLongStreams + 1},
		"metadata": {&of.metadata, &bounds.metadata, 16},
		"blocks":   {&of.blocks, &bounds.blocks, 8},
	} {
		if size := test.of.pool.size; size != test.all.size/test.parts {
			t.Errorf("%s: %d of %d", name, size, test.all.size)
		}
		newPortion(test.of).take(1)
		if used := test.all.used.Load(); used != 0 {
			t.Errorf("%s: %d are taken from callers", name, used)
		}
	}
}

// However much its caller's others hold, a connection may have four calls, each with a request of
// 16 KiB.
func TestAModestConnectionMayHaveFourCalls(t *testing.T) {
	t.Parallel()
	bounds := NewBounds()
	of, _ := bounds.join("somebody")
	fill(newPortion(&of.calls))
	newPortion(&of.bytes).take(maxHeldBytes / 2)
	modest := connectionOf(t, of).traffic
	modest.calls.take(4)
	modest.bytes.take(4 * 16 << 10)
	if modest.calls.isOver() || modest.bytes.isOver() {
		t.Error("a modest connection is over its share")
	}
	modest.calls.take(1)
	modest.bytes.take(1)
	if fill(newPortion(&of.calls)); !modest.bytes.isOver() {
		t.Error("a connection that is not modest is left alone")
	}
}
