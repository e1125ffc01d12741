package caller_test

import (
	"fmt"
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/caller"
)

// BenchmarkAuthenticate measures what a token costs a call, which compares every digest.
func BenchmarkAuthenticate(b *testing.B) {
	for _, count := range []int{1, 50, 1000} {
		lines := make([]string, count)
		for n := range lines {
			lines[n] = lineOf(fmt.Sprintf("caller-%d", n), fmt.Sprintf("token-%d", n))
		}
		admission := withTokens(parseTokens(b, lines...))
		b.Run(fmt.Sprintf("%d tokens", count), func(b *testing.B) {
			for b.Loop() {
				if _, err := admission.Authenticate(caller.Identity{Kind: caller.Loopback}, []string{"Bearer token-0"}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
