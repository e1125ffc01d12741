package idtoken_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"

	"github.com/chatidentity/chatidentity/server/internal/idtoken"
)

func publicPEM(t *testing.T, key crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func TestAttacks(t *testing.T) {
	t.Parallel()
	now := newClock()
	keys := allKeys(t)
	v := newVerifier(t, describe(newStandIn(t, keys).URL), now.read)
	good := signed(t, jwa.ES256, ecKey(), kid("ec"), claims(now.read(), nil))
	header, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	encode := base64.RawURLEncoding.EncodeToString
	at := func(d time.Duration) int64 { return now.read().Add(d).Unix() }
	ec := func(changes map[string]any) string {
		return signed(t, jwa.ES256, ecKey(), kid("ec"), claims(now.read(), changes))
	}
	other := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	foreign := must(jwk.FromRaw(other.Public()))
	for name, text := range map[string]string{
		"empty":                           "",
		"not a JWT":                       "hello",
		"longer than 32 KiB":              good + strings.Repeat("A", 32<<10),
		"an access token":                 signed(t, jwa.ES256, ecKey(), map[string]any{"kid": "ec", "typ": "at+jwt"}, claims(now.read(), nil)),
		"a logout token":                  signed(t, jwa.ES256, ecKey(), map[string]any{"kid": "ec", "typ": "logout+jwt"}, claims(now.read(), nil)),
		"a token of events":               ec(map[string]any{"events": map[string]any{"x": map[string]any{}}}),
		"alg none":                        encode([]byte(`{"alg":"none"}`)) + "." + payload + ".",
		"alg none, with a signature":      encode([]byte(`{"alg":"none","kid":"ec"}`)) + "." + payload + "." + signature,
		"alg in other letters":            encode([]byte(`{"alg":"es256","kid":"ec"}`)) + "." + payload + "." + signature,
		"no signature":                    header + "." + payload + ".",
		"the public key as HMAC secret":   signed(t, jwa.HS256, publicPEM(t, rsaKey().Public()), kid("rsa"), claims(now.read(), nil)),
		"the modulus as HMAC secret":      signed(t, jwa.HS256, rsaKey().N.Bytes(), kid("rsa"), claims(now.read(), nil)),
		"the key set as HMAC secret":      signed(t, jwa.HS256, []byte(keys), kid("rsa"), claims(now.read(), nil)),
		"a symmetric key of the set":      signed(t, jwa.HS256, hmacSecret, kid("symmetric"), claims(now.read(), nil)),
		"a private key of the set":        signed(t, jwa.RS256, otherRSA(), kid("private"), claims(now.read(), nil)),
		"a key too small":                 signed(t, jwa.RS256, smallRSA(), kid("small"), claims(now.read(), nil)),
		"a foreign key under a known kid": signed(t, jwa.ES256, other, kid("ec"), claims(now.read(), nil)),
		"a foreign key, unknown kid":      signed(t, jwa.ES256, other, kid("mine"), claims(now.read(), nil)),
		"a foreign key in the header":     signed(t, jwa.ES256, other, map[string]any{"jwk": foreign}, claims(now.read(), nil)),
		"a foreign key set by URL":        signed(t, jwa.ES256, other, map[string]any{"jku": "http://127.0.0.1:1/", "kid": "mine"}, claims(now.read(), nil)),
		"the alg of another key":          signed(t, jwa.ES256, ecKey(), kid("rsa"), claims(now.read(), nil)),
		"the alg of another kind of key":  encode([]byte(`{"alg":"RS256"}`)) + "." + payload + "." + signature,
		"critical header fields":          signed(t, jwa.ES256, ecKey(), map[string]any{"kid": "ec", "crit": []string{"exp"}}, claims(now.read(), nil)),
		"another payload":                 header + "." + encode([]byte(`{"sub":"somebody_else"}`)) + "." + signature,
		"the JSON form":                   `{"payload":"` + payload + `","protected":"` + header + `","signature":"` + signature + `"}`,
		"padding":                         good + "=",
		"a line break":                    good + "\n",
		"expired":                         ec(map[string]any{"exp": at(-31 * time.Second), "iat": at(-time.Minute)}),
		"no exp":                          ec(map[string]any{"exp": nil}),
		"no iat":                          ec(map[string]any{"iat": nil}),
		"older than max_age":              ec(map[string]any{"iat": at(-10*time.Minute - time.Second)}),
		"from the future":                 ec(map[string]any{"iat": at(time.Minute)}),
		"not valid yet":                   ec(map[string]any{"nbf": at(time.Minute)}),
		"another issuer":                  ec(map[string]any{"iss": issuerName + "/"}),
		"no issuer":                       ec(map[string]any{"iss": nil}),
		"another audience":                ec(map[string]any{"aud": "another"}),
		"no audience":                     ec(map[string]any{"aud": nil}),
		"two audiences, no party":         ec(map[string]any{"aud": []string{clientID, "another"}}),
		"two audiences, another party":    ec(map[string]any{"aud": []string{clientID, "another"}, "azp": "another"}),
		"one audience, another party":     ec(map[string]any{"azp": "another"}),
		"the audience in other letters":   ec(map[string]any{"aud": "Backend"}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := v.Prove(t.Context(), text, ada)
			if !errors.Is(err, idtoken.ErrUnproven) {
				t.Errorf("error %v, want that nothing is proven", err)
			}
			for _, value := range []string{"user_id", "ada@", payload, "somebody"} {
				if err != nil && strings.Contains(err.Error(), value) {
					t.Errorf("the error %q holds a value of the token", err)
				}
			}
		})
	}
}

// Every bit of the token counts.
func TestAnyBitChanged(t *testing.T) {
	t.Parallel()
	now := newClock()
	v := newVerifier(t, describe(newStandIn(t, allKeys(t)).URL), now.read)
	good := signed(t, jwa.ES256, ecKey(), kid("ec"), claims(now.read(), nil))
	for i := range good {
		changed := []byte(good)
		changed[i] ^= 1
		if err := v.Prove(context.Background(), string(changed), ada); err == nil {
			t.Errorf("byte %d of %d changed, and still good", i, len(good))
		}
	}
}

func redirecting(t *testing.T, to string) string {
	t.Helper()
	server := httptest.NewServer(http.RedirectHandler(to, http.StatusFound))
	t.Cleanup(server.Close)
	return server.URL
}
