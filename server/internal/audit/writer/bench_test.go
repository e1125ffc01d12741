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

func BenchmarkSeal(b *testing.B) {
	c := audit.NewChain(testKey(b, "k"), audit.Head{})
	body := audit.AppendBody(nil, issued(digestOf("x")), "pod-1")
	var line []byte
	for b.Loop() {
		line = c.Seal(line[:0], body, 0)
	}
	b.SetBytes(int64(len(line)))
}

func BenchmarkEncode(b *testing.B) {
	r := issued(digestOf("x"))
	var body []byte
	for b.Loop() {
		body = audit.AppendBody(body[:0], r, "pod-1")
	}
}

func BenchmarkPseudonym(b *testing.B) {
	k := testKey(b, "k")
	b.ReportAllocs()
	for b.Loop() {
		k.Pseudonym(audit.KindEmail, "anna@example.com")
	}
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
