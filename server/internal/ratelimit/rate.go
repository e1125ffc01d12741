package ratelimit

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	// maxCount keeps the interval at 1 µs or more, so that rounding it up to a whole nanosecond
	// costs at most 0.1 % of the rate.
	maxCount = 1_000_000
	// maxRefill keeps sums of time stamps far from overflow, and within the integers that a double
	// holds exactly (a shared store may count in doubles).
	maxRefill = 30 * 24 * time.Hour

	off      = "off"
	rateForm = "want N/s|m|h[:BURST] or off, such as 10/m:10"
)

// Rate is how often something may happen: N times per second, minute or hour, and BURST times at
// once from rest. The zero value is "off": no limit.
type Rate struct {
	interval time.Duration
	count    int32
	burst    int32
	unit     byte // 's', 'm' or 'h'
}

// ParseRate reads "N/s", "N/m" or "N/h", optionally with ":BURST", or "off", in any case and with any
// white space; "false" is what YAML makes of off. N and BURST are 1 to 1,000,000; BURST defaults to N.
// An empty budget must earn its burst within 30 days. The time between two calls is rounded up to a
// whole nanosecond, so the rate is never exceeded.
func ParseRate(text string) (Rate, error) {
	plain := strings.ToLower(strings.Join(strings.Fields(text), ""))
	if plain == off || plain == "false" {
		return Rate{}, nil
	}
	rate, err := parseRate(plain)
	if err != nil {
		return Rate{}, fmt.Errorf("rate %q: %w; %s", text, err, rateForm)
	}
	return rate, nil
}

// MustRate is [ParseRate] for constants: it panics if the text is wrong.
func MustRate(text string) Rate {
	rate, err := ParseRate(text)
	if err != nil {
		panic(err)
	}
	return rate
}

func parseRate(text string) (Rate, error) {
	countText, rest, found := strings.Cut(text, "/")
	if !found {
		return Rate{}, errors.New("no unit of time")
	}
	count, err := parseCount("N", countText)
	if err != nil {
		return Rate{}, err
	}
	unit, burstText, found := strings.Cut(rest, ":")
	period, known := periods[unit]
	if !known {
		return Rate{}, fmt.Errorf("unit %q is not s, m or h", unit)
	}
	burst := count
	if found {
		if burst, err = parseCount("BURST", burstText); err != nil {
			return Rate{}, err
		}
	}
	interval := (period + time.Duration(count) - 1) / time.Duration(count)
	rate := Rate{interval: interval, count: count, burst: burst, unit: unit[0]}
	if rate.Refill() > maxRefill {
		return Rate{}, fmt.Errorf("BURST %d takes more than 30 days to earn", burst)
	}
	return rate, nil
}

var periods = map[string]time.Duration{
	"s": time.Second, "sec": time.Second, "second": time.Second,
	"m": time.Minute, "min": time.Minute, "minute": time.Minute,
	"h": time.Hour, "hour": time.Hour,
}

func parseCount(name, text string) (int32, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || n < 1 || n > maxCount {
		return 0, fmt.Errorf("%s is not a number from 1 to %d", name, maxCount)
	}
	return int32(n), nil
}

// IsOff reports whether there is no limit.
func (r Rate) IsOff() bool { return r.interval == 0 }

// String returns the form that [ParseRate] reads, with the burst spelled out.
func (r Rate) String() string {
	if r.IsOff() {
		return off
	}
	return fmt.Sprintf("%d/%c:%d", r.count, r.unit, r.burst)
}

// UnmarshalText reads what [ParseRate] reads.
func (r *Rate) UnmarshalText(text []byte) error {
	rate, err := ParseRate(string(text))
	if err != nil {
		return err
	}
	*r = rate
	return nil
}

// Interval returns the emission interval: the time between two calls at a steady pace.
func (r Rate) Interval() time.Duration { return r.interval }

// Refill returns the time in which an empty budget earns its whole burst.
func (r Rate) Refill() time.Duration { return r.interval * time.Duration(r.burst) }

// bounded keeps whatever a store says of a TAT within what an empty budget can be ahead.
func (r Rate) bounded(ahead time.Duration) time.Duration { return min(max(0, ahead), r.Refill()) }
