package audit

import (
	"testing"
	"time"
)

// BenchmarkWrite is the path of a token's record without a disk.
func BenchmarkWrite(b *testing.B) {
	o := testOptions(b)
	o.File = "/dev/null"
	l := mustOpen(b, o)
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		r := issued(TokenDigest("x"))
		r.AuditID = NewID(time.Now(), nil)
		for pb.Next() {
			if err := l.Write(b.Context(), r); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	c := newChain(testKey(b, "k"), Head{})
	body := appendBody(nil, issued(TokenDigest("x")), "pod-1")
	var line []byte
	for b.Loop() {
		line = c.seal(line[:0], body, 0)
	}
	b.SetBytes(int64(len(line)))
}

func BenchmarkEncode(b *testing.B) {
	r := issued(TokenDigest("x"))
	var body []byte
	for b.Loop() {
		body = appendBody(body[:0], r, "pod-1")
	}
}

func BenchmarkPseudonym(b *testing.B) {
	k := testKey(b, "k")
	b.ReportAllocs()
	for b.Loop() {
		k.Pseudonym(KindEmail, "anna@example.com")
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
