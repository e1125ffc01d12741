package reader

import (
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

// BenchmarkVerify reports how many records are verified a second, from memory.
func BenchmarkVerify(b *testing.B) {
	const records = 20_000
	whole := wholeFile(b, testOptions(b), records)
	options := VerifyOptions{Keys: []*audit.Key{testKey(b, "k1")}}
	b.SetBytes(int64(len(whole)))
	for b.Loop() {
		if r := mustVerify(b, options, inMemory("audit", whole)); r.Fault != nil {
			b.Fatal(r.Fault)
		}
	}
	b.ReportMetric(float64(records*b.N)/b.Elapsed().Seconds(), "records/s")
}
