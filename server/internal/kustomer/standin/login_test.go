package standin_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"hash"
	"strings"
	"testing"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/kustomer/standin"
)

const (
	secret = "your-256-bit-secret-your-256-bit-secret"
	header = `{"alg":"HS256","typ":"JWT"}`
)

// The log-in check accepts exactly what Kustomer accepts.
func TestLogin(t *testing.T) {
	t.Parallel()
	const now = 1_800_000_000
	for _, test := range []struct {
		name    string
		token   string
		by      string
		value   string
		refused error
	}{
		{"external id", sign(header, `{"externalId":"u1","iat":1800000000}`), "externalId", "u1", nil},
		{"e-mail", sign(header, `{"email":"a@b.example","iat":1800000000}`), "email", "a@b.example", nil},
		{"both: e-mail first", sign(header, `{"externalId":"u1","email":"a@b.example","iat":1800000000}`), "email", "a@b.example", nil},
		{"order and spaces do not matter", sign(header, `{ "iat": 1800000000, "externalId": "é<&>" }`), "externalId", "é<&>", nil},
		{"just under 15 minutes", sign(header, `{"externalId":"u1","iat":1799999101}`), "externalId", "u1", nil},
		{"15 minutes", sign(header, `{"externalId":"u1","iat":1799999100}`), "", "", standin.ErrExpired},
		{"a second ahead", sign(header, `{"externalId":"u1","iat":1800000001}`), "", "", standin.ErrFuture},
		{"no iat", sign(header, `{"externalId":"u1"}`), "", "", standin.ErrMalformed},
		{"iat as text", sign(header, `{"externalId":"u1","iat":"1800000000"}`), "", "", standin.ErrMalformed},
		{"iat with a fraction", sign(header, `{"externalId":"u1","iat":1800000000.5}`), "", "", standin.ErrMalformed},
		{"nobody", sign(header, `{"iat":1800000000}`), "", "", standin.ErrMalformed},
		{"empty identifiers", sign(header, `{"externalId":"","email":"","iat":1800000000}`), "", "", standin.ErrMalformed},
		{"identifier as number", sign(header, `{"externalId":7,"iat":1800000000}`), "externalId", "7", nil},
		{"identifier 0", sign(header, `{"externalId":0,"iat":1800000000}`), "", "", standin.ErrMalformed},
		{"identifier with a fraction", sign(header, `{"externalId":7.5,"iat":1800000000}`), "", "", standin.ErrMalformed},
		{"identifier as list", sign(header, `{"externalId":["u1"],"iat":1800000000}`), "", "", standin.ErrMalformed},
		{"alg none", sign(`{"alg":"none"}`, `{"externalId":"u1","iat":1800000000}`), "", "", standin.ErrMalformed},
		{
			"HS512", signWith(sha512.New, secret, `{"alg":"HS512","typ":"JWT"}`, `{"externalId":"u1","iat":1800000000}`),
			"", "", standin.ErrMalformed,
		},
		{
			"another secret", signWith(sha256.New, secret+"x", header, `{"externalId":"u1","iat":1800000000}`),
			"", "", standin.ErrSignature,
		},
		{"two parts", "e30.e30", "", "", standin.ErrMalformed},
		{"four parts", sign(header, `{"externalId":"u1","iat":1800000000}`) + ".e30", "", "", standin.ErrMalformed},
		{"a line end inside", sign(header, `{"externalId":"u1","iat":1800000000}`) + "\n", "", "", standin.ErrMalformed},
		{"padding", sign(header, `{"externalId":"u1","iat":1800000000}`) + "=", "", "", standin.ErrMalformed},
		{"empty", "", "", "", standin.ErrMalformed},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			vendor := standin.New(standin.Options{Secret: secret})
			who, err := vendor.Login(test.token, time.Unix(now, 999_999_999))
			if !errors.Is(err, test.refused) || who.By != test.by || who.Value != test.value {
				t.Errorf("Login() = %+v, %v; want %q %q, %v", who, err, test.by, test.value, test.refused)
			}
		})
	}
}

// The signer of these tests agrees with jwt.io's example, so Login, which agrees with it, does too.
// (The example has no identifier: Login would refuse it.)
func TestTheTestsSignerAgreesWithAForeignToken(t *testing.T) {
	t.Parallel()
	const foreign = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ." +
		"SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"
	if got := signWith(sha256.New, "your-256-bit-secret", header, `{"sub":"1234567890","name":"John Doe","iat":1516239022}`); got != foreign {
		t.Errorf("signed %s, want %s", got, foreign)
	}
}

func TestASecretChangeIsAHardCut(t *testing.T) {
	t.Parallel()
	vendor := standin.New(standin.Options{Secret: secret})
	token := sign(header, `{"externalId":"u1","iat":1800000000}`)
	now := time.Unix(1_800_000_000, 0)
	if _, err := vendor.Login(token, now); err != nil {
		t.Fatal(err)
	}
	vendor.SetSecret(secret + "2")
	if _, err := vendor.Login(token, now); !errors.Is(err, standin.ErrSignature) {
		t.Errorf("Login() after the change: %v, want %v", err, standin.ErrSignature)
	}
}

func sign(header, payload string) string { return signWith(sha256.New, secret, header, payload) }

func signWith(algorithm func() hash.Hash, key, header, payload string) string {
	encode := base64.RawURLEncoding.EncodeToString
	signed := strings.Join([]string{encode([]byte(header)), encode([]byte(payload))}, ".")
	mac := hmac.New(algorithm, []byte(key))
	mac.Write([]byte(signed))
	return signed + "." + encode(mac.Sum(nil))
}
