package retry

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// MaxAfter bounds what After returns.
const MaxAfter = 5 * time.Minute

// After returns how long an answer asks to be left alone: what the first of the named headers that
// makes sense says, 0 if none does, at most MaxAfter. A small number is seconds from now, a large
// one seconds or milliseconds since 1970; a date is one of HTTP's. Moments are compared with the
// answer's own Date, if it has one, since our clock may be wrong.
func After(header http.Header, now time.Time, names ...string) time.Duration {
	if date, err := http.ParseTime(header.Get("Date")); err == nil {
		now = date
	}
	for _, name := range names {
		if wait := until(header.Get(name), now); wait > 0 {
			return min(wait, MaxAfter)
		}
	}
	return 0
}

func until(value string, now time.Time) time.Duration {
	const (
		epochSeconds      = 1_000_000_000
		epochMilliseconds = 1_000_000_000_000
	)
	value = strings.TrimSpace(value)
	if date, err := http.ParseTime(value); err == nil {
		return date.Sub(now)
	}
	number, err := strconv.ParseInt(value, 10, 64)
	switch {
	case err != nil || number < 0:
		return 0
	case number >= epochMilliseconds:
		return time.UnixMilli(number).Sub(now)
	case number >= epochSeconds:
		return time.Unix(number, 0).Sub(now)
	default:
		return time.Duration(min(number, int64(MaxAfter/time.Second))) * time.Second
	}
}
