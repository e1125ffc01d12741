package redis

import (
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
)

// A decision about three limits with a server on this machine.
func BenchmarkRedis(b *testing.B) {
	r, call := benchmarkReplica(b)
	for i := 0; b.Loop(); i++ {
		call[ratelimit.Customer].Key = customerKey(i)
		r.Take(b.Context(), call)
	}
}

// The same for 64 at a time.
func BenchmarkRedisParallel(b *testing.B) {
	r, call := benchmarkReplica(b)
	b.SetParallelism(32)
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
	r, call := benchmarkReplica(b)
	call[ratelimit.Customer].Rate = ratelimit.MustRate("1/h")
	for b.Loop() {
		r.Take(b.Context(), call)
	}
}

func benchmarkReplica(b *testing.B) (*Limiter, ratelimit.Budgets) {
	b.Helper()
	r, _ := replica(b, startServer(b), nil)
	await(b, "the server to answer", func() bool { return r.breaker.is(up) })
	fast := ratelimit.MustRate("1000000/s:1000000")
	call := budgetsFor(0, fast, fast, fast)
	call[ratelimit.Caller].Local = false
	b.ReportAllocs()
	b.ResetTimer()
	return r, call
}
