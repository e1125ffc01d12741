package redis

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
)

// A decision about three limits with a server on this machine.
func BenchmarkRedis(b *testing.B) {
	r, call := benchmarkReplica(b, startServer(b))
	for i := 0; b.Loop(); i++ {
		call[ratelimit.Customer].Key = customerKey(i)
		r.Take(b.Context(), call)
	}
}

// The same for 64 at a time. A server has one thread for commands, so its own processor time for a
// decision is what bounds how many a shard carries.
func BenchmarkRedisParallel(b *testing.B) {
	s := startServer(b)
	r, call := benchmarkReplica(b, s)
	b.SetParallelism(32)
	before := s.processorTime()
	defer func() {
		took := s.processorTime() - before
		b.ReportMetric(float64(b.N)/took.Seconds(), "decisions/s-of-the-server")
	}()
	b.RunParallel(func(pb *testing.PB) {
		call := call
		for i := 0; pb.Next(); i++ {
			call[ratelimit.Customer].Key = customerKey(i)
			r.Take(b.Context(), call)
		}
	})
}

// A caller over its limit.
func BenchmarkRedisRemembered(b *testing.B) {
	r, call := benchmarkReplica(b, startServer(b))
	call[ratelimit.Customer].Rate = ratelimit.MustRate("1/h")
	for b.Loop() {
		r.Take(b.Context(), call)
	}
}

func benchmarkReplica(b *testing.B, s *server) (*Limiter, ratelimit.Budgets) {
	b.Helper()
	r, _ := replica(b, s, nil)
	await(b, "the server to answer", func() bool { return r.breaker.is(up) })
	fast := ratelimit.MustRate("1000000/s:1000000")
	call := budgetsFor(0, fast, fast, fast)
	call[ratelimit.Caller].Local = false
	b.ReportAllocs()
	b.ResetTimer()
	return r, call
}

// processorTime is what the server has used, by its own count.
func (s *server) processorTime() time.Duration {
	s.t.Helper()
	total := 0.0
	for line := range strings.Lines(fmt.Sprint(s.do("INFO", "cpu"))) {
		for _, name := range []string{"used_cpu_user:", "used_cpu_sys:"} {
			if text, found := strings.CutPrefix(line, name); found {
				seconds, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
				if err != nil {
					s.t.Fatal(err)
				}
				total += seconds
			}
		}
	}
	return time.Duration(total * float64(time.Second))
}
