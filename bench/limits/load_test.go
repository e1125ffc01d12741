package limits

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
)

const (
	callersPerPod = 4
	pace          = 5 * time.Millisecond // between two calls of one caller
	hotEvery      = 10                   // so many calls, one is for the hot customer
)

// sample is one call.
type sample struct {
	pod     int
	hot     bool
	begun   time.Time
	waited  time.Duration
	outcome string // "" is a token; otherwise the reason of the error
}

func (s *sample) ended() time.Time { return s.begun.Add(s.waited) }

// call asks for a token.
func (s *sidecar) call(customer string) (outcome string) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	_, err := s.client.IssueToken(ctx, &pb.IssueTokenRequest{Customer: &pb.Customer{ExternalId: customer}})
	if err == nil {
		return ""
	}
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return err.Error()
}

// load calls all pods until it is stopped, for ever new customers and, now and
// then, for the hot one.
func load(t *testing.T, pods []*sidecar) (stop func() []sample) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	var mu sync.Mutex
	var all []sample
	var running sync.WaitGroup
	var calls atomic.Int64
	for i := range callersPerPod * len(pods) {
		pod := i % len(pods)
		running.Go(func() {
			var own []sample
			ticker := time.NewTicker(pace)
			defer ticker.Stop()
			for ctx.Err() == nil {
				<-ticker.C
				n := calls.Add(1)
				s := sample{pod: pod, hot: n%hotEvery == 0, begun: time.Now()}
				customer := fmt.Sprintf("user_%d", n)
				if s.hot {
					customer = "hot"
				}
				s.outcome = pods[pod].call(customer)
				s.waited = time.Since(s.begun)
				own = append(own, s)
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, own...)
		})
	}
	return func() []sample {
		cancel()
		running.Wait()
		return all
	}
}

// between returns the calls that began in a stretch of time.
func between(samples []sample, from, to time.Time) []sample {
	var some []sample
	for _, s := range samples {
		if !s.begun.Before(from) && s.begun.Before(to) {
			some = append(some, s)
		}
	}
	return some
}

// waits are how long calls took.
type waits struct{ p50, p99, longest time.Duration }

func waitsOf(samples []sample) waits {
	if len(samples) == 0 {
		return waits{}
	}
	all := make([]time.Duration, len(samples))
	for i := range samples {
		all[i] = samples[i].waited
	}
	slices.Sort(all)
	return waits{all[len(all)/2], all[len(all)*99/100], all[len(all)-1]}
}

// String is p50, p99 and the longest, in milliseconds.
func (w waits) String() string {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	return fmt.Sprintf("%.1f · %.1f · %.0f", ms(w.p50), ms(w.p99), ms(w.longest))
}
