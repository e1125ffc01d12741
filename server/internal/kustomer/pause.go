package kustomer

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/retry"
)

// pauses are the pauses between attempts.
var pauses = retry.Doubling{First: time.Second, Longest: time.Minute}

// Pause returns how long to wait after a number of failures in a row (1 or more), the last of which
// was err: 1 s doubling to 1 minute, at least what Kustomer asked for, and up to half as long again
// by random, a number in [0, 1).
func Pause(failures int, err error, random float64) time.Duration {
	return pauses.Pause(failures, RetryAfter(err), random)
}

// RetryAfter returns how long Kustomer asked us to wait, according to err; 0 if it did not.
func RetryAfter(err error) time.Duration {
	if failure, ok := errors.AsType[*Error](err); ok {
		return failure.RetryAfter
	}
	return 0
}

// Retry calls once until it succeeds or fails permanently, up to the given number of attempts, with
// pauses in between. It is for commands that a person waits for.
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

// retryAfter returns how long an answer asks us to wait, at most 5 minutes. A 429 may say so in the
// vendor's own header, whose unit is not documented.
func retryAfter(header http.Header, status int, now time.Time) time.Duration {
	names := []string{"Retry-After"}
	if status == http.StatusTooManyRequests {
		names = append(names, "X-Ratelimit-Reset")
	}
	return retry.After(header, now, names...)
}
