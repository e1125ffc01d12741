package writer

import (
	"testing"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

// BenchmarkWrite is the path of a token's record without a disk.
func BenchmarkWrite(b *testing.B) {
	o := testOptions(b)
	o.File = "/dev/null"
	l := mustOpen(b, o)
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		r := issued(digestOf("x"))
		r.AuditID = audit.NewID(time.Now(), nil)
		for pb.Next() {
			if err := l.Write(b.Context(), r); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkRefusalInAFlood(b *testing.B) {
	o := testOptions(b)
	o.File = "/dev/null"
	l := mustOpen(b, o)
	r := refused("noisy", "RATE_LIMITED")
	b.ReportAllocs()
	for b.Loop() {
		if err := l.Write(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
}
