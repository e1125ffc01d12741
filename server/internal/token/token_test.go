package token_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwt"

	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
	"github.com/chatidentity/chatidentity/server/internal/token"
)

// vector is a token that the vendor's own example made; testdata/vectors holds
// the script.
type vector struct {
	Name       string `json:"name"`
	Secret     string `json:"secret"`
	ExternalID string `json:"external_id"`
	Email      string `json:"email"`
	IssuedAt   int64  `json:"iat"`
	Token      string `json:"token"`
}

func (v vector) customer() customer.Customer {
	return customer.Customer{ExternalID: v.ExternalID, Email: v.Email}
}

func vectors(t testing.TB) []vector {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []vector
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("only %d vectors", len(all))
	}
	return all
}

func TestSignEqualsTheVendorsExampleByteForByte(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			if violations := v.customer().Check(); len(violations) > 0 {
				t.Fatalf("the vector's customer breaks the rules: %v", violations)
			}
			got, err := token.Sign(sensitive.New(v.Secret), v.customer(), time.Unix(v.IssuedAt, 999_999_999))
			if err != nil {
				t.Fatal(err)
			}
			if got.Reveal() != v.Token {
				t.Errorf("token\n%s, want\n%s", got.Reveal(), v.Token)
			}
		})
	}
}

func TestParseReadsTheVendorsTokens(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			parsed, err := token.Parse(v.Token)
			if err != nil {
				t.Fatal(err)
			}
			if parsed.Customer() != v.customer() {
				t.Error("other identifiers than were signed")
			}
			if got := parsed.IssueTime().Unix(); got != v.IssuedAt {
				t.Errorf("iat %d, want %d", got, v.IssuedAt)
			}
			if got := parsed.ExpireTime().Sub(parsed.IssueTime()); got != 15*time.Minute {
				t.Errorf("lives %v, want 15 minutes", got)
			}
			if !parsed.SignedWith(sensitive.New(v.Secret)) {
				t.Error("its own secret's signature is bad")
			}
			if parsed.SignedWith(sensitive.New(v.Secret + "x")) {
				t.Error("another secret's signature is good")
			}
		})
	}
}

func TestSignRefusesAnEmptySecret(t *testing.T) {
	t.Parallel()
	if got, err := token.Sign(sensitive.String{}, customer.Customer{ExternalID: "x"}, time.Now()); err == nil || !got.IsEmpty() {
		t.Error("signed with an empty secret")
	}
}

// FuzzSign promises that what is signed is read back the same by ourselves and
// by another library, with no claim besides.
func FuzzSign(f *testing.F) {
	f.Add("user_id", "ada@example.com", int64(1767225600))
	f.Add("<>&\"\\\u2028\u2029", "", int64(1))
	f.Add("", "\x00\x1f\x7f\b\t\n\f\r", int64(0))
	secret := sensitive.New("fuzz-secret-0123456789-0123456789")
	f.Fuzz(func(t *testing.T, externalID, email string, iat int64) {
		c := customer.Customer{ExternalID: externalID, Email: email}
		if !utf8.ValidString(externalID) || !utf8.ValidString(email) || c == (customer.Customer{}) || iat < 0 || iat > 253402300799 {
			t.Skip("not a customer and time that reach Sign")
		}
		signed, err := token.Sign(secret, c, time.Unix(iat, 0))
		if err != nil {
			t.Fatal(err)
		}
		if len(signed.Reveal()) <= token.MaxBytes {
			parsed, err := token.Parse(signed.Reveal())
			if err != nil || parsed.Customer() != c || parsed.IssueTime().Unix() != iat || !parsed.SignedWith(secret) {
				t.Fatalf("not read back the same: %v", err)
			}
		}
		other, err := jwt.ParseString(signed.Reveal(), jwt.WithKey(jwa.HS256, []byte(secret.Reveal())), jwt.WithValidate(false))
		if err != nil {
			t.Fatal(err)
		}
		for name := range other.PrivateClaims() {
			if name != "externalId" && name != "email" {
				t.Errorf("holds the claim %q", name)
			}
		}
	})
}

// TestEveryChangedCharacterIsFound changes each character of a token to each
// other one of the alphabet: never is the signature still good.
func TestEveryChangedCharacterIsFound(t *testing.T) {
	t.Parallel()
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."
	v := vectors(t)[0]
	secret := sensitive.New(v.Secret)
	for i := range v.Token {
		for _, c := range []byte(alphabet) {
			if v.Token[i] == c {
				continue
			}
			changed := v.Token[:i] + string(c) + v.Token[i+1:]
			if parsed, err := token.Parse(changed); err == nil && parsed.SignedWith(secret) {
				t.Fatalf("accepted with character %d changed to %q", i, c)
			}
		}
	}
}

func TestTheZeroParsedHasNoGoodSignature(t *testing.T) {
	t.Parallel()
	var zero token.Parsed
	if zero.SignedWith(sensitive.New("secret")) {
		t.Error("the zero value is signed")
	}
}

func FuzzParse(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.Token)
	}
	f.Add("..")
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := token.Parse(text)
		if err != nil {
			return
		}
		if strings.ContainsFunc(text, unicode.IsSpace) || len(text) > token.MaxBytes {
			t.Errorf("accepted %q", text)
		}
		if _, login := parsed.Customer().Login(); login == "" {
			t.Error("accepted without identifier")
		}
	})
}

func TestDigestIsTheHexSHA256OfTheCharacters(t *testing.T) {
	t.Parallel()
	// printf abc | sha256sum
	if got := token.Digest("abc"); got != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" {
		t.Errorf("digest %s", got)
	}
}

func BenchmarkSign(b *testing.B) {
	secret := sensitive.New("benchmark-secret-0123456789-0123")
	c := customer.Customer{ExternalID: "0190b5a4-7b3c-7d2e-8f10-2b3c4d5e6f70"}
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := token.Sign(secret, c, now); err != nil {
			b.Fatal(err)
		}
	}
}
