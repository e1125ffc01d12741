package kustomer

import (
	"net/http"
	"time"
)

// Clock is how far Kustomer's clock is ahead of ours, according to one answer. The Date header has
// a resolution of one second and was written at an unknown moment of the round trip, so the result
// is an interval. The zero value is unknown.
type Clock struct {
	// Known is false if the answer had no usable Date or came from a cache.
	Known bool
	// Least and Most bound Kustomer's clock minus ours. Negative values mean that Kustomer's is
	// behind.
	Least, Most time.Duration
}

// Offset is the best guess: the middle of the bounds.
func (c Clock) Offset() time.Duration { return c.Least + (c.Most-c.Least)/2 }

// Apart is the minimum difference of the clocks, whichever is ahead.
func (c Clock) Apart() time.Duration {
	if !c.Known {
		return 0
	}
	return max(c.Least, -c.Most, 0)
}

// readClock compares an answer's Date with our clock. A cached answer (one with an Age) is ignored.
func readClock(header http.Header, before, after time.Time) Clock {
	roundTrip := after.Sub(before)
	date, err := http.ParseTime(header.Get("Date"))
	if err != nil || len(header.Values("Age")) > 0 || roundTrip < 0 {
		return Clock{}
	}
	// The round trip is measured on the monotonic clock, so a step of the wall clock does not
	// matter.
	return Clock{
		Known: true,
		Least: date.Sub(after),
		Most:  date.Add(time.Second).Sub(after.Add(-roundTrip)),
	}
}
