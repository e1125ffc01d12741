package idtoken_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
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

// ada is whom the good claims prove.
var ada = customer.Customer{ExternalID: "user_id", Email: "ada@example.com"}

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

// signedText returns a token over any payload.
func signedText(t *testing.T, payload string) string {
	t.Helper()
	protected := jws.NewHeaders()
	if err := protected.Set(jws.KeyIDKey, "ec"); err != nil {
		t.Fatal(err)
	}
	text, err := jws.Sign([]byte(payload), jws.WithKey(jwa.ES256, ecKey(), jws.WithProtectedHeaders(protected)))
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
	for name, test := range map[string]struct {
		alg     jwa.SignatureAlgorithm
		key     any
		kid     string
		changes map[string]any
		want    customer.Customer
	}{
		"RS256":                          {jwa.RS256, rsaKey(), "rsa", nil, ada},
		"PS384":                          {jwa.PS384, rsaKey(), "rsa", nil, ada},
		"ES256":                          {jwa.ES256, ecKey(), "ec", nil, ada},
		"EdDSA":                          {jwa.EdDSA, edKey(), "ed", nil, ada},
		"no kid, and one key of the alg": {jwa.ES256, ecKey(), "", nil, ada},
		"an audience in a list":          {jwa.ES256, ecKey(), "ec", map[string]any{"aud": []string{clientID}}, ada},
		"the authorized party of two":    {jwa.ES256, ecKey(), "ec", map[string]any{"aud": []string{"x", clientID}, "azp": clientID}, ada},
		"as old as may be":               {jwa.ES256, ecKey(), "ec", map[string]any{"iat": now.read().Add(-10 * time.Minute).Unix()}, ada},
		"ahead within the skew":          {jwa.ES256, ecKey(), "ec", map[string]any{"iat": now.read().Add(29 * time.Second).Unix()}, ada},
		"an unverified email":            {jwa.ES256, ecKey(), "ec", map[string]any{"email_verified": false}, customer.Customer{ExternalID: "user_id"}},
		"an email verified by text":      {jwa.ES256, ecKey(), "ec", map[string]any{"email_verified": "true"}, ada},
		"no word on the email":           {jwa.ES256, ecKey(), "ec", map[string]any{"email_verified": nil}, customer.Customer{ExternalID: "user_id"}},
		"an email that is no text":       {jwa.ES256, ecKey(), "ec", map[string]any{"email": 7}, customer.Customer{ExternalID: "user_id"}},
		"no email":                       {jwa.ES256, ecKey(), "ec", map[string]any{"email": nil}, customer.Customer{ExternalID: "user_id"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			token := signed(t, test.alg, test.key, kid(test.kid), claims(now.read(), test.changes))
			if err := v.Prove(t.Context(), token, test.want); err != nil {
				t.Errorf("it does not prove its user: %v", err)
			}
			if err := v.Prove(t.Context(), token, ada); test.want != ada && !errors.Is(err, idtoken.ErrUnproven) {
				t.Errorf("it proves the email: %v", err)
			}
		})
	}
}
