package idtoken_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"

	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/idtoken"
)

const (
	issuerName = "https://login.example.com"
	clientID   = "backend"
)

// rsaKey and others are made once: they are slow to make.
var (
	rsaKey     = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	otherRSA   = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	smallRSA   = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 1024)) })
	ecKey      = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	edKey      = sync.OnceValue(func() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(make([]byte, 32)) })
	hmacSecret = []byte("0123456789abcdef0123456789abcdef")
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// standIn is an issuer: it publishes keys, which can be changed, and can be down.
type standIn struct {
	*httptest.Server
	mu      sync.Mutex
	keys    string
	down    bool
	fetched atomic.Int64
}

func newStandIn(t *testing.T, keys string) *standIn {
	t.Helper()
	s := &standIn{keys: keys}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.fetched.Add(1)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.down {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte(s.keys))
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *standIn) publish(keys string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys, s.down = keys, keys == ""
}

// published returns a JWK set of public keys, by ID.
func published(t testing.TB, keys map[string]any) string {
	t.Helper()
	set := jwk.NewSet()
	for id, key := range keys {
		entry, err := jwk.FromRaw(key)
		if err != nil {
			t.Fatal(err)
		}
		if err := entry.Set(jwk.KeyIDKey, id); err != nil {
			t.Fatal(err)
		}
		if err := set.AddKey(entry); err != nil {
			t.Fatal(err)
		}
	}
	text, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// clock stands still until it is moved.
type clock struct{ now atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.now.Store(time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) read() time.Time         { return time.Unix(0, c.now.Load()) }
func (c *clock) advance(d time.Duration) { c.now.Add(int64(d)) }

// claims are good ones of that moment; a nil value removes a claim.
func claims(now time.Time, changes map[string]any) map[string]any {
	all := map[string]any{
		"iss": issuerName, "aud": clientID, "sub": "user_id", "email": "ada@example.com", "email_verified": true,
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
	for name, value := range changes {
		if value == nil {
			delete(all, name)
		} else {
			all[name] = value
		}
	}
	return all
}

func signed(t testing.TB, alg jwa.SignatureAlgorithm, key any, headers, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	protected := jws.NewHeaders()
	for name, value := range headers {
		if err := protected.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	text, err := jws.Sign(payload, jws.WithKey(alg, key, jws.WithProtectedHeaders(protected)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func kid(id string) map[string]any { return map[string]any{"kid": id} }

func describe(url string) idtoken.Issuer {
	return idtoken.Issuer{Issuer: issuerName, Audience: clientID, JWKSURL: url, ExternalIDClaim: "sub", EmailClaim: "email"}
}

func newVerifier(t testing.TB, issuer idtoken.Issuer, now func() time.Time) *idtoken.Verifier {
	t.Helper()
	v, err := idtoken.New(issuer, idtoken.Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func allKeys(t testing.TB) string {
	return published(t, map[string]any{
		"rsa": rsaKey().Public(), "ec": ecKey().Public(), "ed": edKey().Public(), "small": smallRSA().Public(),
		"private": otherRSA(), "symmetric": hmacSecret,
	})
}

func TestAGoodTokenProvesItsUser(t *testing.T) {
	t.Parallel()
	now := newClock()
	v := newVerifier(t, describe(newStandIn(t, allKeys(t)).URL), now.read)
	both := customer.Customer{ExternalID: "user_id", Email: "ada@example.com"}
	for name, test := range map[string]struct {
		alg     jwa.SignatureAlgorithm
		key     any
		kid     string
		changes map[string]any
		want    customer.Customer
	}{
		"RS256":                          {jwa.RS256, rsaKey(), "rsa", nil, both},
		"PS384":                          {jwa.PS384, rsaKey(), "rsa", nil, both},
		"ES256":                          {jwa.ES256, ecKey(), "ec", nil, both},
		"EdDSA":                          {jwa.EdDSA, edKey(), "ed", nil, both},
		"no kid, and one key of the alg": {jwa.ES256, ecKey(), "", nil, both},
		"an audience in a list":          {jwa.ES256, ecKey(), "ec", map[string]any{"aud": []string{clientID}}, both},
		"the authorized party of two":    {jwa.ES256, ecKey(), "ec", map[string]any{"aud": []string{"x", clientID}, "azp": clientID}, both},
		"as old as may be":               {jwa.ES256, ecKey(), "ec", map[string]any{"iat": now.read().Add(-10 * time.Minute).Unix()}, both},
		"ahead within the skew":          {jwa.ES256, ecKey(), "ec", map[string]any{"iat": now.read().Add(29 * time.Second).Unix()}, both},
		"an unverified email":            {jwa.ES256, ecKey(), "ec", map[string]any{"email_verified": false}, customer.Customer{ExternalID: "user_id"}},
		"an email verified by text":      {jwa.ES256, ecKey(), "ec", map[string]any{"email_verified": "true"}, customer.Customer{ExternalID: "user_id"}},
		"no word on the email":           {jwa.ES256, ecKey(), "ec", map[string]any{"email_verified": nil}, customer.Customer{ExternalID: "user_id"}},
		"an email that is no text":       {jwa.ES256, ecKey(), "ec", map[string]any{"email": 7}, customer.Customer{ExternalID: "user_id"}},
		"no email":                       {jwa.ES256, ecKey(), "ec", map[string]any{"email": nil}, customer.Customer{ExternalID: "user_id"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := v.Verify(t.Context(), signed(t, test.alg, test.key, kid(test.kid), claims(now.read(), test.changes)))
			if err != nil || got != test.want {
				t.Errorf("proves external ID %q and email %q, error %v", got.ExternalID, got.Email, err)
			}
		})
	}
}

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
		"longer than 8 KiB":               good + strings.Repeat("A", 8<<10),
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
			got, err := v.Verify(t.Context(), text)
			if !errors.Is(err, idtoken.ErrUnproven) || got != (customer.Customer{}) {
				t.Errorf("error %v, external ID %q; want that nothing is proven", err, got.ExternalID)
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
		if _, err := v.Verify(context.Background(), string(changed)); err == nil {
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
