package rpc_test

import (
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
)

// BenchmarkIssueToken measures a whole call over a real socket, client and server together: the
// chain, the limits, the signature and the record. The customers rotate, because a single one
// flatters every cache.
func BenchmarkIssueToken(b *testing.B) {
	const customers = 20_000
	f := serve(b, func(o *setup) {
		o.Limits = ratelimit.Rates{ratelimit.Caller: rate(b, "1000000/s"), ratelimit.Customer: rate(b, "1000/s:1000000")}
	})
	var last atomic.Int64
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			request := issueFor("user_"+strconv.FormatInt(last.Add(1)%customers, 10), "")
			if _, err := f.IssueToken(b.Context(), request); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
