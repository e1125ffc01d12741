package listen

import (
	"testing"
	"time"
)

// heard is a frame and who sent it.
type heard struct {
	frame
	byServer bool
}

func client(kind frameType, stream, length uint32, flags uint8) heard {
	return heard{frame{length: length, kind: kind, flags: flags, stream: stream}, false}
}

func server(kind frameType, stream uint32, flags uint8) heard {
	return heard{frame{kind: kind, flags: flags, stream: stream}, true}
}

func TestStreamsCountWhatIsOpen(t *testing.T) {
	t.Parallel()
	const end, head = flagEndStream, flagEndHeaders
	// Calls begin at 0; what is not HEADERS comes after some time.
	ageOf := func(f frame, after time.Duration) time.Duration {
		if f.kind == frameHeaders {
			return 0
		}
		return after
	}
	for name, test := range map[string]struct {
		after  time.Duration
		frames []heard
		open   int64 // calls
		bytes  int64
		idle   int64
	}{
		"a call": {youngAge, []heard{
			client(frameHeaders, 1, 50, head), client(frameData, 1, 20, end), server(frameHeaders, 1, 0), server(frameData, 1, 0), server(frameHeaders, 1, end),
		}, 0, 0, -answerCredit},
		"without its end":             {youngAge, []heard{client(frameHeaders, 1, 50, head), client(frameData, 1, 5, 0)}, 1, 55, 0},
		"in many pieces":              {youngAge, []heard{client(frameHeaders, 1, 50, head), client(frameData, 1, 5, 0), client(frameData, 1, 7, 0)}, 1, 62, 0},
		"HEADERS alone":               {youngAge, []heard{client(frameHeaders, 1, 50, end|head)}, 1, 50, 0},
		"reset by the client":         {youngAge, []heard{client(frameHeaders, 1, 50, head), client(frameResetStream, 1, 4, 0)}, 0, 0, 1},
		"reset at once":               {0, []heard{client(frameHeaders, 1, 50, head), client(frameResetStream, 1, 4, 0)}, 0, 0, youngResetCost},
		"reset at once by the server": {0, []heard{client(frameHeaders, 1, 50, head), server(frameResetStream, 1, 0)}, 0, 0, youngResetCost},
		"reset twice":                 {youngAge, []heard{client(frameHeaders, 1, 50, head), client(frameResetStream, 1, 4, 0), client(frameResetStream, 1, 4, 0)}, 0, 0, 2},
		"reset by the server":         {youngAge, []heard{client(frameHeaders, 1, 50, head), server(frameResetStream, 1, 0)}, 0, 0, 1},
		"answered, then reset":        {youngAge, []heard{client(frameHeaders, 1, 50, end|head), server(frameHeaders, 1, end), client(frameResetStream, 1, 4, 0)}, 0, 0, 1 - answerCredit},
		"refused early, then RST":     {youngAge, []heard{client(frameHeaders, 1, 50, head), server(frameHeaders, 1, end), server(frameResetStream, 1, 0)}, 0, 0, 1 - answerCredit},
		"DATA after the end":          {youngAge, []heard{client(frameHeaders, 1, 50, end|head), client(frameData, 1, 9, 0)}, 1, 50, 1},
		"empty DATA":                  {youngAge, []heard{client(frameHeaders, 1, 50, head), client(frameData, 1, 0, 0)}, 1, 50, 1},
		"a number used again":         {youngAge, []heard{client(frameHeaders, 3, 50, end|head), server(frameHeaders, 3, end), client(frameHeaders, 3, 50, head), client(frameHeaders, 1, 50, head)}, 0, 0, 2 - answerCredit},
		"CONTINUATION":                {youngAge, []heard{client(frameHeaders, 1, 50, end), client(frameContinuation, 1, 9, 0), client(frameContinuation, 1, 9, head)}, 1, 68, 2},
		"a long header block": {youngAge, []heard{
			client(frameHeaders, 1, 20_000, 0), client(frameContinuation, 1, 20_000, head), client(frameData, 1, 40_000, end),
		}, 1, maxBlockBytes + 40_000, 1},
		"not of a call": {youngAge, []heard{
			client(0x6, 0, 8, 0), client(0x4, 0, 6, 0), client(0x2, 1, 5, 0), client(0x8, 0, 4, 0), client(frameGoAway, 0, 8, 0), client(frameData, 7, 8, 0),
		}, 0, 0, 6},
		"what the server says of none": {youngAge, []heard{server(0x4, 0, 1), server(0x6, 0, 1), server(frameResetStream, 9, 0)}, 0, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s streams
			var open, bytes, idle int64
			for _, h := range test.frames {
				var c change
				if h.byServer {
					c = s.sent(h.frame, func() time.Duration { return test.after })
				} else {
					c = s.received(h.frame, ageOf(h.frame, test.after))
				}
				open, bytes, idle = open+c.opened, bytes+c.bytes, idle+c.idle
			}
			if open != test.open || bytes != test.bytes || idle != test.idle {
				t.Errorf("%d calls, %d bytes, %d idle frames; want %d, %d, %d", open, bytes, idle, test.open, test.bytes, test.idle)
			}
			rest := s.end()
			if open+rest.opened != 0 || bytes+rest.bytes != 0 {
				t.Errorf("after the end %d calls and %d bytes are left", open+rest.opened, bytes+rest.bytes)
			}
			if c := s.received(client(frameHeaders, 99, 1, 0).frame, 0); c.opened != 0 {
				t.Error("a call was opened after the end")
			}
		})
	}
}

func TestCallsThatAreOpenForTooLongAreLate(t *testing.T) {
	t.Parallel()
	const whole = flagEndStream | flagEndHeaders
	var s streams
	s.received(client(frameHeaders, 1, 50, whole).frame, 1*time.Second)         // its answer is not read
	s.received(client(frameHeaders, 3, 50, flagEndStream).frame, 2*time.Second) // its headers go on
	s.received(client(frameHeaders, 5, 50, flagEndHeaders).frame, 3*time.Second)
	for _, test := range []struct {
		now  time.Duration
		late int64
	}{
		{2*time.Second + requestTimeout, 0},
		{2*time.Second + requestTimeout + 1, 1},
		{3*time.Second + requestTimeout + 1, 2},
		{1*time.Second + callTimeout, 2},
		{1*time.Second + callTimeout + 1, 3},
	} {
		if late := s.late(test.now); late != test.late {
			t.Errorf("after %v %d calls are late, want %d", test.now, late, test.late)
		}
	}
	for id := uint32(1); id <= 5; id += 2 {
		s.sent(server(frameHeaders, id, flagEndStream).frame, nil)
	}
	if late := s.late(time.Hour); late != 0 {
		t.Errorf("%d calls are late after their answers", late)
	}
}

// An answer that is an error alone is the transport's own unless somebody has given a reason for it, and
// has not taken it back since.
func TestAnErrorHasAReason(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		before func(s *streams)
		failed bool
	}{
		"explained":                  {(*streams).explain, false},
		"not explained":              {func(*streams) {}, true},
		"explained, then taken back": {func(s *streams) { s.explain(); s.takeBack() }, true},
		"taken back twice, then explained": {
			func(s *streams) { s.explain(); s.takeBack(); s.takeBack(); s.explain() }, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s streams
			for _, id := range []uint32{1, 3} { // one stays open
				s.received(client(frameHeaders, id, 50, flagEndStream|flagEndHeaders).frame, 0)
			}
			test.before(&s)
			if c := s.sent(server(frameHeaders, 3, flagEndStream).frame, func() time.Duration { return 0 }); c.failed != test.failed {
				t.Errorf("failed: %t, want %t", c.failed, test.failed)
			}
		})
	}
}

// An age is counted from a call's own beginning.
func TestACallIsAsOldAsItIsOpen(t *testing.T) {
	t.Parallel()
	var s streams
	for id := uint32(1); id <= 5; id += 2 {
		s.received(client(frameHeaders, id, 50, flagEndHeaders).frame, time.Hour)
	}
	for age, want := range map[time.Duration]int64{heldAge: 0, heldAge + 1: 3} {
		if older := s.olderThan(heldAge, time.Hour+age); older != want {
			t.Errorf("after %v %d calls are older than %v, want %d", age, older, heldAge, want)
		}
	}
	if c := s.received(client(frameResetStream, 1, 4, 0).frame, time.Hour+youngAge-1); c.idle != youngResetCost {
		t.Errorf("to reset a young call costs %d", c.idle)
	}
	if c := s.received(client(frameResetStream, 3, 4, 0).frame, time.Hour+youngAge); c.idle != 1 {
		t.Errorf("to reset a call costs %d", c.idle)
	}
}

// A reason that was given for a call explains no call after the last of its time.
func TestAReasonEndsWithTheLastCall(t *testing.T) {
	t.Parallel()
	var s streams
	now := func() time.Duration { return 0 }
	s.received(client(frameHeaders, 1, 50, flagEndStream|flagEndHeaders).frame, 0)
	s.explain()
	s.received(client(frameResetStream, 1, 4, 0).frame, 0) // its answer is never sent
	s.received(client(frameHeaders, 3, 50, flagEndStream|flagEndHeaders).frame, 0)
	if c := s.sent(server(frameHeaders, 3, flagEndStream).frame, now); !c.failed {
		t.Error("a call has the reason of another")
	}
}
