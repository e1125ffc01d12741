package listen

import (
	"sync"
	"time"
)

// streams are the calls that are open on a connection, as the frames show them: opened by HEADERS of
// the client, over when either side resets it or the server ends it. They are what the transport
// holds; a count kept by handlers would miss calls that end before a handler runs.
type streams struct {
	mu     sync.Mutex
	open   map[uint32]stream
	newest uint32
	ended  bool // the connection is closed
	// explained are the errors that have a reason and are yet to be sent.
	explained int
}

// maxBlockBytes is what counts of a header block among the bytes that a connection holds. What a longer
// one holds is counted among the blocks until it is whole, and then among the metadata.
const maxBlockBytes = 16 << 10

// stream is a call that is open.
type stream struct {
	begun time.Duration
	bytes int64 // of its request so far, headers included
	// What has come to its end; both: the request is whole.
	headers, data bool
	excess        bool // beyond the connection's share: it will be refused
	replied       bool // the server has sent headers, so its answer is no error alone
}

func (c stream) isWhole() bool { return c.headers && c.data }

// change is what a frame did.
type change struct {
	opened int64 // calls: 1, 0 or -1
	excess int64 // calls beyond the share: 0 or -1
	bytes  int64 // held
	whole  bool  // a request has come to its end
	idle   int64 // frames that moved no call forward; below 0: credit
	failed bool  // the server has answered with an error alone, and nobody has given a reason for it
	reset  bool  // the server has reset a call that was open
}

// received takes in a frame of the client.
func (s *streams) received(f frame, now time.Duration) change {
	s.mu.Lock()
	defer s.mu.Unlock()
	call, isOpen := s.open[f.stream]
	switch {
	case f.kind == frameHeaders && f.stream > s.newest && !s.ended:
		return s.begin(f, now)
	case !isOpen:
		return change{idle: 1}
	case f.kind == frameResetStream:
		return s.remove(f.stream, call, resetCost(call, now))
	case call.isWhole():
		return change{idle: 1}
	case f.kind == frameContinuation:
		return s.grow(f, call, change{idle: 1})
	case f.kind == frameData && (f.length > 0 || f.endsStream()):
		return s.grow(f, call, change{})
	default:
		return change{idle: 1}
	}
}

func (s *streams) begin(f frame, now time.Duration) change {
	s.newest = f.stream
	if s.open == nil {
		s.open = make(map[uint32]stream)
	}
	return s.grow(f, stream{begun: now}, change{opened: 1})
}

// grow adds a frame to a request.
func (s *streams) grow(f frame, call stream, c change) change {
	c.bytes = int64(f.length)
	if f.kind != frameData { // headers come first
		c.bytes = min(c.bytes, max(0, maxBlockBytes-call.bytes))
	}
	call.bytes += c.bytes
	call.headers = call.headers || f.endsHeaders()
	call.data = call.data || f.endsStream()
	c.whole = call.isWhole()
	s.open[f.stream] = call
	return c
}

func (s *streams) remove(id uint32, call stream, idle int64) change {
	delete(s.open, id)
	if len(s.open) == 0 { // whatever was explained has been sent, or its client is gone
		s.explained = 0
	}
	c := change{bytes: -call.bytes, idle: idle}
	c.close(call)
	return c
}

// close counts a call that is over.
func (c *change) close(call stream) {
	if call.excess {
		c.excess--
	} else {
		c.opened--
	}
}

// exceed marks a call that was opened beyond the share, and reports whether it is still open.
func (s *streams) exceed(id uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	call, isOpen := s.open[id]
	if isOpen {
		call.excess = true
		s.open[id] = call
	}
	return isOpen
}

// sent takes in a frame of the server.
func (s *streams) sent(f frame, now func() time.Duration) change {
	if !f.bearsOnCall() {
		return change{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	call, isOpen := s.open[f.stream]
	switch {
	case isOpen && f.endsStream():
		failed := f.kind == frameHeaders && !call.replied && !s.explains() // before the last call is removed
		c := s.remove(f.stream, call, -answerCredit)
		c.failed = failed
		return c
	case isOpen && f.kind == frameHeaders:
		call.replied = true
		s.open[f.stream] = call
		return change{}
	case isOpen:
		c := s.remove(f.stream, call, resetCost(call, now()))
		c.reset = true
		return c
	case f.kind == frameResetStream:
		return change{idle: 1}
	default:
		return change{}
	}
}

// bearsOnCall reports whether a frame of the server begins or ends an answer.
func (f frame) bearsOnCall() bool {
	return f.kind == frameHeaders || f.kind == frameResetStream || f.endsStream()
}

// explains reports whether the next call that failed has a reason of ours, and takes it.
func (s *streams) explains() bool {
	if s.explained == 0 {
		return false
	}
	s.explained--
	return true
}

// A call that is reset has cost more than its frame. Honest clients reset calls when their deadline has
// passed, at most as many at once as may be open; whoever resets a call that has just begun wastes it.
const (
	youngAge       = 50 * time.Millisecond
	youngResetCost = 10 // of 1,024 calls that end at once, less than callerFrames
)

func resetCost(call stream, now time.Duration) int64 {
	if now-call.begun < youngAge {
		return youngResetCost
	}
	return 1
}

// answerCredit is how many idle frames each answered call excuses: acknowledgements, window updates.
const answerCredit = 4

// explain says that an error that has a reason is about to be sent.
func (s *streams) explain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.explained++
}

// takeBack undoes explain for an error that will not be sent.
func (s *streams) takeBack() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.explains()
}

// late counts the calls that have been open for too long.
func (s *streams) late(now time.Duration) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var late int64
	for _, call := range s.open {
		most := requestTimeout
		if call.isWhole() {
			most = callTimeout
		}
		if now-call.begun > most {
			late++
		}
	}
	return late
}

// olderThan counts the calls that have been open for longer than that.
func (s *streams) olderThan(age, now time.Duration) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var older int64
	for _, call := range s.open {
		if now-call.begun > age {
			older++
		}
	}
	return older
}

// end forgets all calls and returns what that gives back.
func (s *streams) end() change {
	s.mu.Lock()
	defer s.mu.Unlock()
	var c change
	for _, call := range s.open {
		c.close(call)
		c.bytes -= call.bytes
	}
	s.open, s.ended = nil, true
	return c
}
