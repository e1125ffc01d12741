package load

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Result is what became of a load.
type Result struct {
	Elapsed   time.Duration
	Latencies []time.Duration // of each call, in order of size
}

// Calls returns how many calls were made.
func (r Result) Calls() int { return len(r.Latencies) }

// Rate returns calls per second.
func (r Result) Rate() float64 { return float64(r.Calls()) / r.Elapsed.Seconds() }

// At returns the latency that this share of the calls stayed below, in microseconds.
func (r Result) At(share float64) float64 {
	at := min(int(share*float64(len(r.Latencies))), len(r.Latencies)-1)
	return float64(r.Latencies[at].Nanoseconds()) / float64(time.Microsecond)
}

// counter numbers calls over all loads of this process, so that customers keep rotating.
var counter atomic.Int64

// Closed keeps that many calls in flight for some time. A call that fails ends the load.
func Closed(ctx context.Context, caller Caller, inFlight int, length time.Duration) (Result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	each := make([][]time.Duration, inFlight)
	var running sync.WaitGroup
	begin := time.Now()
	for worker := range each {
		running.Go(func() {
			for began := time.Now(); began.Sub(begin) < length; {
				if err := caller.Call(ctx, counter.Add(1)); err != nil {
					cancel(err)
					return
				}
				ended := time.Now()
				each[worker] = append(each[worker], ended.Sub(began))
				began = ended
			}
		})
	}
	running.Wait()
	r := Result{Elapsed: time.Since(begin), Latencies: slices.Concat(each...)}
	slices.Sort(r.Latencies)
	return r, context.Cause(ctx)
}
