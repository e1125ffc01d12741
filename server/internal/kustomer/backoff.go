package kustomer

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	firstPause = time.Second
	maxPause   = time.Minute
	// maxRetryAfter bounds what an answer may ask for. Kustomer's budget is one of
	// a minute.
	maxRetryAfter = 5 * time.Minute
)

// Pause returns how long to wait after the given number of failures in a row
// (1 or more), the last of which was err: 1 s doubling to 1 minute, at least what
// Kustomer asked for, and up to half as long again by random, a number in [0, 1),
// so that a fleet does not come back in step.
func Pause(failures int, err error, random float64) time.Duration {
	pause := maxPause
	if doublings := failures - 1; doublings < 6 {
		pause = min(maxPause, firstPause<<max(0, doublings))
	}
	pause = max(pause, RetryAfter(err))
	return pause + time.Duration(random*float64(pause)/2)
}

// RetryAfter returns how long Kustomer asked to be left alone in err, 0 if it did
// not.
func RetryAfter(err error) time.Duration {
	if failure, ok := errors.AsType[*Error](err); ok {
		return failure.RetryAfter
	}
	return 0
}

// Retry calls once up to the given number of times, pausing between, while it
// fails temporarily. It is for a command that a person waits for.
func Retry[T any](ctx context.Context, attempts int, once func(context.Context) (T, error)) (T, error) {
	for failures := 1; ; failures++ {
		result, err := once(ctx)
		failure, ok := errors.AsType[*Error](err)
		if !ok || !failure.Temporary() || failures >= attempts {
			return result, err
		}
		timer := time.NewTimer(Pause(failures, err, rand.Float64())) //nolint:gosec // spreads load, guards nothing
		select {
		case <-ctx.Done():
			timer.Stop()
			return result, err
		case <-timer.C:
		}
	}
}

// retryAfter reads Retry-After, and after a 429 x-ratelimit-reset, whose unit is
// not documented: a small number is taken as seconds from now, a large one as a
// moment in seconds or milliseconds since the epoch. Both are bounded; nonsense is
// as good as nothing. Moments are compared with the answer's own Date, since our
// clock may be wrong.
func retryAfter(header http.Header, status int, now time.Time) time.Duration {
	if date, err := http.ParseTime(header.Get("Date")); err == nil {
		now = date
	}
	wait := untilRetry(header.Get("Retry-After"), now)
	if wait <= 0 && status == http.StatusTooManyRequests {
		wait = untilRetry(header.Get("X-Ratelimit-Reset"), now)
	}
	return min(max(wait, 0), maxRetryAfter)
}

func untilRetry(value string, now time.Time) time.Duration {
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
		return time.Duration(min(number, int64(maxRetryAfter/time.Second))) * time.Second
	}
}
