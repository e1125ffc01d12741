package audit

import (
	"strings"
	"testing"
	"time"
)

// typical is the record of an issued token.
func typical() *Record {
	return &Record{
		Time: time.Unix(1_790_000_000, 0), Instance: "pod-1", AuditID: NewID(time.Now(), nil), Event: EventIssue,
		Outcome: OutcomeOK, Organization: "default", EmailHMAC: strings.Repeat("e", 32), Identifier: "email",
		IssuedAt: 1_790_000_000, Caller: "backend", Peer: "127.0.0.1:4711", TokenSHA256: strings.Repeat("a", 64),
		SecretID: "s1", Duration: 42 * time.Microsecond,
	}
}

func BenchmarkEncode(b *testing.B) {
	r := typical()
	var body []byte
	for b.Loop() {
		body = AppendBody(body[:0], r)
	}
}

func BenchmarkSeal(b *testing.B) {
	c := NewChain(testKey(b, "k"), Head{})
	body := AppendBody(nil, typical())
	var line []byte
	for b.Loop() {
		line = c.Seal(line[:0], body, 0)
	}
	b.SetBytes(int64(len(line)))
}

func BenchmarkPseudonym(b *testing.B) {
	k := testKey(b, "k")
	b.ReportAllocs()
	for b.Loop() {
		k.Pseudonym(KindEmail, "anna@example.com")
	}
}
