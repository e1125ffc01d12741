package token_test

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"
	"github.com/lestrrat-go/jwx/v2/jwt"

	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
	"github.com/chatidentity/chatidentity/server/internal/token"
)

// FuzzSign promises that each byte of a token is as the vendor's library, whose
// JSON is JavaScript's, and jwx, which signs it, would have it, and that it is
// read back the same.
func FuzzSign(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.ExternalID, v.Email, v.IssuedAt)
	}
	f.Add("<>&\"\\\u2028\u2029", "", int64(1))
	f.Add("", "\x00\x1f\x7f\b\t\n\f\r", int64(0))
	secret := sensitive.New("fuzz-secret-0123456789-0123456789").Keeping()
	headers := jws.NewHeaders()
	if err := headers.Set(jws.TypeKey, "JWT"); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, externalID, email string, iat int64) {
		c := customer.Customer{ExternalID: externalID, Email: email}
		if !utf8.ValidString(externalID) || !utf8.ValidString(email) || c == (customer.Customer{}) || iat < 0 || iat > 253402300799 {
			t.Skip("not a customer and time that reach Sign")
		}
		signed, err := token.Sign(secret, c, time.Unix(iat, 0))
		if err != nil {
			t.Fatal(err)
		}
		want, err := jws.Sign(payload(t, c, iat),
			jws.WithKey(jwa.HS256, []byte(secret.Reveal()), jws.WithProtectedHeaders(headers)))
		if err != nil {
			t.Fatal(err)
		}
		if signed.Reveal() != string(want) {
			t.Fatalf("token\n%s, jwx makes\n%s", signed.Reveal(), want)
		}
		if len(signed.Reveal()) <= token.MaxBytes {
			parsed, err := token.Parse(signed.Reveal())
			if err != nil || parsed.Customer() != c || parsed.IssueTime().Unix() != iat || !parsed.SignedWith(secret) {
				t.Fatalf("not read back the same: %v", err)
			}
		}
		if _, err := jwt.ParseString(signed.Reveal(), jwt.WithKey(jwa.HS256, []byte(secret.Reveal())), jwt.WithValidate(false)); err != nil {
			t.Fatal(err)
		}
	})
}

// payload returns what JSON.stringify makes of the claims.
func payload(t *testing.T, c customer.Customer, iat int64) []byte {
	t.Helper()
	claims := struct {
		ExternalID string `json:"externalId,omitempty"` //nolint:tagliatelle // Kustomer's spelling
		Email      string `json:"email,omitempty"`
		IssuedAt   int64  `json:"iat"`
	}{c.ExternalID, c.Email, iat}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(claims); err != nil {
		t.Fatal(err)
	}
	// Go escapes these two even so.
	raw := lineSeparators.ReplaceAllStringFunc(strings.TrimSuffix(text.String(), "\n"), func(escaped string) string {
		backslashes := strings.TrimRight(escaped, "u0289")
		if len(backslashes)%2 == 0 { // the text itself reads like an escape
			return escaped
		}
		return backslashes[1:] + map[byte]string{'8': "\u2028", '9': "\u2029"}[escaped[len(escaped)-1]]
	})
	return []byte(raw)
}

var lineSeparators = regexp.MustCompile(`\\+u202[89]`)

// The states that the signers keep between tokens belong to their secrets.
func TestEachTokenIsSignedWithItsOwnSecret(t *testing.T) {
	t.Parallel()
	all := vectors(t)
	secrets := make([]sensitive.String, len(all))
	for i, v := range all {
		secrets[i] = sensitive.New(v.Secret).Keeping()
	}
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			for range 50 {
				for i, v := range all {
					got, err := token.Sign(secrets[i], v.customer(), time.Unix(v.IssuedAt, 0))
					if err != nil || got.Reveal() != v.Token {
						t.Errorf("%s: another token, or %v", v.Name, err)
					}
				}
			}
		})
	}
	running.Wait()
}

func BenchmarkSign(b *testing.B) {
	secret := sensitive.New("benchmark-secret-0123456789-0123").Keeping()
	c := customer.Customer{ExternalID: "0190b5a4-7b3c-7d2e-8f10-2b3c4d5e6f70"}
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := token.Sign(secret, c, now); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDigest(b *testing.B) {
	v := vectors(b)[0]
	b.ReportAllocs()
	for b.Loop() {
		_ = token.Digest(v.Token)
	}
}
