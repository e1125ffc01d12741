package token_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
	"unicode"

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
