package secret

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

// Doubts returns one line for each reason to doubt that the value is Kustomer's secret, such as a
// value that is too short or was not copied exactly. None of them is proof.
func Doubts(value sensitive.String) []string {
	text := value.Reveal()
	var doubts []string
	if len(text) < plausibleSize {
		doubts = append(doubts,
			fmt.Sprintf("it has fewer than %d bytes, which is too short for HS256 and unlike Kustomer's", plausibleSize))
	}
	if text != strings.TrimSpace(text) {
		doubts = append(doubts, "it begins or ends with white space, which is part of the secret")
	}
	if !utf8.ValidString(text) || strings.ContainsRune(text, '\ufeff') || strings.IndexFunc(text, unicode.IsControl) >= 0 {
		doubts = append(doubts, "it contains control characters, a byte order mark or bytes that are not UTF-8")
	}
	if strings.HasPrefix(strings.TrimSpace(text), "eyJ") && jwt().MatchString(strings.TrimSpace(text)) {
		return append(doubts, "it is a JWT: it may be the API key or a token instead of the secret")
	}
	return append(doubts, miscopied(text)...)
}

// KeyDoubts returns one line for each reason to doubt that the value is an API key as it was
// issued.
func KeyDoubts(value sensitive.String) []string { return miscopied(value.Reveal()) }

// Each is compiled when a text looks like it at first sight: a start takes no time for that.
var (
	jwt = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$`)
	})
	member = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^["'][^"']*["']\s*:`)
	})
	assignment = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^((export|set|-e)\s+)?` +
			`([A-Z][A-Z0-9_]+|(?i:[a-z_]*(secret|key|token|authorization)[a-z_]*))` +
			`\s*(=\s*[^=\s]|:\s+\S)`)
	})
	template = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^(\$?\{.*\}|\{\{.*\}\}|\$\(.*\)|<.*>|%[A-Za-z_]+%|\$[A-Z_]+)$`)
	})
)

// placeholders stand in the samples of jwt.io, of Kustomer and of many manuals, in lower case.
var placeholders = []string{
	"your-256-bit-secret", "a-string-secret-at-least-256-bits-long", "your-secret", "your-secret-key",
	"your_secret_key", "secret_key", "secret", "changeme", "change-me", "replace-me", "replace_me", "todo", "your-api-key",
	"your_api_key", "api_key", "redacted",
}

// miscopies are what a text can have that belongs to the place from which it was copied. The first
// that fits is told.
var miscopies = []struct {
	has   func(text string) bool
	doubt string
}{
	{
		func(text string) bool { return strings.ContainsAny(text[:1], `"'`) && member().MatchString(text) },
		"it is a line of JSON: copy the value alone, without its name and the quotes",
	},
	{
		func(text string) bool { return strings.HasPrefix(text, "{") && strings.Contains(text, `"`) },
		"it begins with a brace: it may be Kustomer's whole answer instead of the secret in it",
	},
	{
		func(text string) bool {
			return strings.ContainsAny(text[:1], "\"'`") || strings.ContainsAny(text[len(text)-1:], "\"'`,")
		},
		"it begins or ends with a quote or a comma, which would be part of it",
	},
	{isPlaceholder, "it is a placeholder: put the real value there"},
	{
		func(text string) bool { return strings.ContainsAny(text, "=:") && assignment().MatchString(text) },
		"it is a name and a value: copy the value alone",
	},
	{
		isPrintableBase64,
		"it is the base64 of a text: decode it once, if it was encoded on the way, as for a Kubernetes Secret",
	},
}

func isPlaceholder(text string) bool {
	return strings.ContainsAny(text[:1], "${<%") && template().MatchString(text) ||
		slices.Contains(placeholders, strings.ToLower(text))
}

// miscopied says what a text has that belongs to the place from which it was copied.
func miscopied(text string) []string {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil
	}
	for _, miscopy := range miscopies {
		if miscopy.has(text) {
			return []string{miscopy.doubt}
		}
	}
	return nil
}

// minEncoded is so many bytes that nothing random decodes to printable text by chance.
const minEncoded = 16

func isPrintableBase64(text string) bool {
	bare := strings.TrimRight(text, "=")
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		decoded, err := encoding.DecodeString(bare)
		decoded = []byte(strings.TrimRight(string(decoded), "\r\n"))
		if err == nil && len(decoded) >= minEncoded &&
			!slices.ContainsFunc(decoded, func(char byte) bool { return char < ' ' || char > '~' }) {
			return true
		}
	}
	return false
}
