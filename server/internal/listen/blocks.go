package listen

import (
	"sync/atomic"
	"time"
)

const (
	// headersTimeout is how long a header block may take to arrive whole.
	headersTimeout = 2 * time.Second
	// blockRetry is when a connection looks for room for its header block again.
	blockRetry = 2 * time.Millisecond
)

// block is the header block that is arriving on a connection, of which there is one at most. grpc holds
// what has come of it, decoded, until its end.
type block struct {
	portion // 1 while grpc holds a part of it

	unended bool // frames of it have yet to begin
	headers bool // the frame that came last is of a header block
	began   int  // blocks so far
	timed   int  // the one whose time runs
	timer   *time.Timer

	isHeld atomic.Bool
	closed atomic.Bool
}

// received takes in a frame of the client.
func (b *block) received(f frame) {
	b.headers = f.kind == frameHeaders || f.kind == frameContinuation
	if f.kind == frameHeaders {
		b.began++
	}
	if b.headers {
		b.unended = !f.endsHeaders()
	}
}

// follow runs the block's time, and returns once there is room for what grpc decodes of it. It reports
// false if there was none in time, or the connection is gone. isCut says that the last frame has yet to
// come whole.
func (b *block) follow(isCut bool, late func(), gone <-chan struct{}) bool {
	if !b.unended {
		b.release()
	}
	if !b.unended && (!b.headers || !isCut) {
		if b.timer != nil {
			b.timer.Stop()
		}
		b.timed = 0
		return true
	}
	if b.unended && !b.isHeld.Load() && !b.hold(gone) {
		return false
	}
	switch {
	case b.timed == b.began: // its time runs
	case b.timer == nil:
		b.timer = time.AfterFunc(headersTimeout, late)
	default:
		b.timer.Reset(headersTimeout)
	}
	b.timed = b.began
	return true
}

// hold waits for room, for as long as a block may take.
func (b *block) hold(gone <-chan struct{}) bool {
	for waited := time.Duration(0); waited <= headersTimeout; waited += blockRetry {
		b.take(1)
		if !b.isOver() {
			b.isHeld.Store(true)
			if b.closed.Load() {
				b.release()
			}
			return true
		}
		b.take(-1)
		if !sleep(blockRetry, gone) {
			return false
		}
	}
	return false
}

func (b *block) release() {
	if b.isHeld.Swap(false) {
		b.take(-1)
	}
}

// end gives the room back for good.
func (b *block) end() {
	b.closed.Store(true)
	b.release()
}
