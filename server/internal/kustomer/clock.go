package kustomer

import (
	"net/http"
	"time"
)

// Clock is what one answer tells about Kustomer's clock: by how much it is ahead
// of ours. The Date header has whole seconds, and was written at some moment of
// the round trip, so the truth is known between two bounds only. The zero value
// knows nothing.
type Clock struct {
	// Known is false when the answer had no usable Date, or came from a cache.
	Known bool
	// Least and Most bound Kustomer's clock minus ours; negative is behind.
	Least, Most time.Duration
}

// Offset is the best guess: the middle of the bounds.
func (c Clock) Offset() time.Duration { return c.Least + (c.Most-c.Least)/2 }

// Apart is by how much the clocks differ at the very least, whichever is ahead.
func (c Clock) Apart() time.Duration {
	if !c.Known {
		return 0
	}
	return max(c.Least, -c.Most, 0)
}

// readClock compares the Date of an answer with our clock. A cached answer (it
// has an Age) tells of another time and is not used.
func readClock(header http.Header, before, after time.Time) Clock {
	roundTrip := after.Sub(before)
	date, err := http.ParseTime(header.Get("Date"))
	if err != nil || len(header.Values("Age")) > 0 || roundTrip < 0 {
		return Clock{}
	}
	// The round trip is monotonic, so a step of our clock during it does no harm.
	return Clock{
		Known: true,
		Least: date.Sub(after),
		Most:  date.Add(time.Second).Sub(after.Add(-roundTrip)),
	}
}
