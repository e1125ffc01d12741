// Package token makes and reads the JSON Web Tokens with which apps log in to
// Kustomer chat: HS256, an external ID and/or an email address, iat, and
// nothing else.
package token

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strconv"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

const (
	// Lifetime is how long Kustomer accepts a token, counted from its iat.
	Lifetime = 15 * time.Minute

	// MaxBytes is the size of the longest token that is read. The longest one
	// that is made is shorter.
	MaxBytes = 4096

	header = `{"alg":"HS256","typ":"JWT"}`
)

var encodedHeader = base64.RawURLEncoding.EncodeToString([]byte(header))

// Sign returns the token for c, issued at the whole second of issued. The
// secret's UTF-8 bytes are the key as they stand; an empty secret is an error.
//
// The bytes are those of the vendor's NodeJS example (`jsonwebtoken`) for the
// same claims. That is why the payload is written here and not by jwx, whose
// encoder escapes <, >, &, U+2028 and U+2029. jwx remains the judge: it verifies
// tokens, and a fuzz test holds every byte against it.
func Sign(secret sensitive.String, c customer.Customer, issued time.Time) (sensitive.String, error) {
	if secret.IsEmpty() {
		return sensitive.String{}, errors.New("sign token: the secret is empty")
	}
	free := signersOf(secret)
	s := free.take(secret)
	defer free.give(s)
	return sensitive.New(s.sign(c, issued)), nil
}

// Digest returns the SHA-256 of a token's characters, in hex: what audit
// records hold in its place.
func Digest(token string) string {
	var short [512]byte // on the stack, and enough for most tokens
	sum := sha256.Sum256(append(short[:0], token...))
	var text [2 * sha256.Size]byte
	hex.Encode(text[:], sum[:])
	return string(text[:])
}

func appendPayload(b []byte, c customer.Customer, issued time.Time) []byte {
	b = append(b, '{')
	if c.ExternalID != "" {
		b = append(b, `"externalId":`...)
		b = appendJSONString(b, c.ExternalID)
		b = append(b, ',')
	}
	if c.Email != "" {
		b = append(b, `"email":`...)
		b = appendJSONString(b, c.Email)
		b = append(b, ',')
	}
	b = append(b, `"iat":`...)
	b = strconv.AppendInt(b, issued.Unix(), 10)
	return append(b, '}')
}

// appendJSONString quotes as JavaScript's JSON.stringify does: it escapes the
// quote, the backslash and characters below U+0020, and nothing else.
// https://tc39.es/ecma262/#sec-quotejsonstring
func appendJSONString(b []byte, s string) []byte {
	b = append(b, '"')
	copied := 0
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' {
			b = appendEscaped(append(b, s[copied:i]...), c)
			copied = i + 1
		}
	}
	b = append(b, s[copied:]...)
	return append(b, '"')
}

func appendEscaped(b []byte, c byte) []byte {
	const hexDigits = "0123456789abcdef"
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\b':
		return append(b, `\b`...)
	case '\t':
		return append(b, `\t`...)
	case '\n':
		return append(b, `\n`...)
	case '\f':
		return append(b, `\f`...)
	case '\r':
		return append(b, `\r`...)
	default:
		return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
	}
}
