package caller_test

import (
	"strings"
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/caller"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

// What a bearer token may be made of: RFC 6750, section 2.1.
func TestIsToken(t *testing.T) {
	t.Parallel()
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/="
	assert := func(text string, want bool) {
		t.Helper()
		if got := caller.IsToken(sensitive.New(text)); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
	for r := range rune(0x250) {
		assert("a"+string(r), strings.ContainsRune(letters, r))
	}
	assert("", false)
	assert(strings.Repeat("a", 512), true)
	assert(strings.Repeat("a", 513), false)
}
