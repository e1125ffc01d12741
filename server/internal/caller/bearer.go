package caller

import (
	"strings"

	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

// maxTokenSize bounds what is hashed, in bytes. Our tokens have 56.
const maxTokenSize = 512

// bearer returns the token of a single "Bearer TOKEN": RFC 6750, section 2.1.
func bearer(authorization []string) (string, bool) {
	if len(authorization) != 1 {
		return "", false
	}
	scheme, token, _ := strings.Cut(authorization[0], " ")
	if !strings.EqualFold(scheme, "Bearer") || !isToken(token) {
		return "", false
	}
	return token, true
}

// IsToken reports whether a value can be sent as a bearer token.
func IsToken(value sensitive.String) bool { return isToken(value.Reveal()) }

func isToken(text string) bool {
	return text != "" && len(text) <= maxTokenSize && !strings.ContainsFunc(text, outsideToken)
}

func outsideToken(r rune) bool {
	letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	return !letter && (r < '0' || '9' < r) && !strings.ContainsRune("-._~+/=", r)
}
