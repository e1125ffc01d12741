package load

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const patience = 3 * time.Second

var errGivenUp = errors.New("the server is too slow for this rate")

// Open makes so many calls a second in the mean, at times that do not depend on one another or on
// the answers (Poisson). A latency counts from the time at which its call was due, so calls that a
// slow server delays count in full. The seed makes the times the same for each server. What a server
// has not answered three seconds after the last call was due is given up, and counts as that slow.
func Open(ctx context.Context, caller Caller, rate float64, length time.Duration, seed uint64) (Result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer time.AfterFunc(length+patience, func() { cancel(errGivenUp) }).Stop()
	due := arrivals(rate, length, seed)
	latencies := make([]time.Duration, len(due))
	var running sync.WaitGroup
	// The thread sleeps in the kernel, which wakes it within some microseconds; Go's timers would be late
	// whenever the other threads are busy.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return Result{}, err
	}
	begin := time.Now()
	for i, at := range due {
		sleepUntil(begin.Add(at))
		running.Go(func() {
			if err := caller.Call(ctx, counter.Add(1)); err != nil && ctx.Err() == nil {
				cancel(err)
			}
			latencies[i] = time.Since(begin) - at
		})
	}
	running.Wait()
	r := Result{Elapsed: time.Since(begin), Latencies: latencies}
	slices.Sort(r.Latencies)
	if cause := context.Cause(ctx); !errors.Is(cause, errGivenUp) {
		return r, cause
	}
	return r, nil
}

func arrivals(rate float64, length time.Duration, seed uint64) []time.Duration {
	random := rand.New(rand.NewPCG(seed, 0))
	var all []time.Duration
	for at := 0.0; ; {
		at += random.ExpFloat64() / rate
		if at >= length.Seconds() {
			return all
		}
		all = append(all, time.Duration(at*float64(time.Second)))
	}
}

func sleepUntil(at time.Time) {
	if wait := time.Until(at); wait > 0 {
		pause := unix.NsecToTimespec(wait.Nanoseconds())
		_ = unix.Nanosleep(&pause, nil) // a signal may end it early, which makes one call a little early
	}
}
