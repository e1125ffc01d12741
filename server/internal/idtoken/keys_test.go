package idtoken_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"

	"github.com/chatidentity/chatidentity/server/internal/idtoken"
)

func TestNewKeysAreFetchedWhenATokenNamesThem(t *testing.T) {
	t.Parallel()
	now := newClock()
	issuer := newStandIn(t, published(t, map[string]any{"old": rsaKey().Public()}))
	v := newVerifier(t, describe(issuer.URL), now.read)
	old := signed(t, jwa.RS256, rsaKey(), kid("old"), claims(now.read(), nil))
	fresh := signed(t, jwa.ES256, ecKey(), kid("new"), claims(now.read(), nil))
	if err := v.Prove(t.Context(), old, ada); err != nil {
		t.Fatal(err)
	}
	issuer.publish(published(t, map[string]any{"new": ecKey().Public()}))
	if err := v.Prove(t.Context(), fresh, ada); !errors.Is(err, idtoken.ErrUnproven) {
		t.Errorf("a moment after a fetch: %v, want unproven without another", err)
	}
	for range 100 {
		_ = v.Prove(t.Context(), fresh, ada)
	}
	if n := issuer.fetched.Load(); n != 1 {
		t.Errorf("fetched %d times within 5 s, want once", n)
	}
	now.advance(5 * time.Second)
	if err := v.Prove(t.Context(), fresh, ada); err != nil {
		t.Errorf("5 s after: %v", err)
	}
	if err := v.Prove(t.Context(), old, ada); !errors.Is(err, idtoken.ErrUnproven) {
		t.Errorf("signed with a key that was withdrawn: %v", err)
	}
}

func TestKeysThatCannotBeHad(t *testing.T) {
	t.Parallel()
	now := newClock()
	issuer := newStandIn(t, "")
	issuer.publish("")
	v := newVerifier(t, describe(issuer.URL), now.read)
	token := func() string { return signed(t, jwa.RS256, rsaKey(), kid("rsa"), claims(now.read(), nil)) }
	unknown := func() string { return signed(t, jwa.ES256, ecKey(), kid("new"), claims(now.read(), nil)) }
	if err := v.Prove(t.Context(), token(), ada); !errors.Is(err, idtoken.ErrUnavailable) {
		t.Fatalf("no keys yet: %v", err)
	}
	issuer.publish(published(t, map[string]any{"rsa": rsaKey().Public()}))
	if err := v.Prove(t.Context(), token(), ada); !errors.Is(err, idtoken.ErrUnavailable) {
		t.Errorf("a moment after a failure: %v", err)
	}
	now.advance(5 * time.Second)
	if err := v.Prove(t.Context(), token(), ada); err != nil {
		t.Fatalf("up again: %v", err)
	}
	issuer.publish("")
	now.advance(23 * time.Hour)
	if err := v.Prove(t.Context(), token(), ada); err != nil {
		t.Errorf("down for less than a day: %v, want the last good keys", err)
	}
	if err := v.Prove(t.Context(), unknown(), ada); !errors.Is(err, idtoken.ErrUnavailable) {
		t.Errorf("down, and a key that may be new: %v", err)
	}
	now.advance(2 * time.Hour)
	if err := v.Prove(t.Context(), token(), ada); !errors.Is(err, idtoken.ErrUnavailable) {
		t.Errorf("down for more than a day: %v", err)
	}
}

func TestAWithdrawnKeyIsNotUsedForLong(t *testing.T) {
	t.Parallel()
	now := newClock()
	issuer := newStandIn(t, published(t, map[string]any{"rsa": rsaKey().Public()}))
	v := newVerifier(t, describe(issuer.URL), now.read)
	if err := v.Prove(t.Context(), signed(t, jwa.RS256, rsaKey(), kid("rsa"), claims(now.read(), nil)), ada); err != nil {
		t.Fatal(err)
	}
	issuer.publish(published(t, map[string]any{"ec": ecKey().Public()}))
	now.advance(10 * time.Minute)
	if err := v.Prove(t.Context(), signed(t, jwa.RS256, rsaKey(), kid("rsa"), claims(now.read(), nil)), ada); !errors.Is(err, idtoken.ErrUnproven) {
		t.Errorf("10 minutes after its withdrawal: %v", err)
	}
}

// Between 5 and 10 minutes keys are refreshed beside the calls, which do not wait.
func TestOldKeysAreRefreshedInTheBackground(t *testing.T) {
	t.Parallel()
	now := newClock()
	issuer := newStandIn(t, published(t, map[string]any{"rsa": rsaKey().Public()}))
	v := newVerifier(t, describe(issuer.URL), now.read)
	for range 2 {
		if err := v.Prove(t.Context(), signed(t, jwa.RS256, rsaKey(), kid("rsa"), claims(now.read(), nil)), ada); err != nil {
			t.Fatal(err)
		}
		now.advance(6 * time.Minute)
	}
	deadline := time.After(10 * time.Second)
	for issuer.fetched.Load() < 2 {
		select {
		case <-deadline:
			t.Fatal("no second fetch")
		case <-time.After(time.Millisecond):
		}
	}
}

// However many calls need keys at the same time, there is one fetch, and a call whose time is over
// does not wait for it.
func TestOneFetchForAll(t *testing.T) {
	t.Parallel()
	now := newClock()
	issuer := newStandIn(t, published(t, map[string]any{"rsa": rsaKey().Public()}))
	v := newVerifier(t, describe(issuer.URL), now.read)
	token := signed(t, jwa.RS256, rsaKey(), kid("rsa"), claims(now.read(), nil))
	issuer.mu.Lock() // the issuer is slow
	over, cancel := context.WithCancel(context.Background())
	cancel()
	if err := v.Prove(over, token, ada); !errors.Is(err, idtoken.ErrUnavailable) {
		t.Errorf("a call whose time is over: %v", err)
	}
	var calls sync.WaitGroup
	for range 50 {
		calls.Go(func() {
			if err := v.Prove(context.Background(), token, ada); err != nil {
				t.Error(err)
			}
		})
	}
	issuer.mu.Unlock()
	calls.Wait()
	if n := issuer.fetched.Load(); n != 1 {
		t.Errorf("fetched %d times, want once", n)
	}
}

func TestWhatAnIssuerNeeds(t *testing.T) {
	t.Parallel()
	good := describe("https://login.example.com/jwks.json")
	for name, change := range map[string]func(*idtoken.Issuer){
		"no issuer":        func(i *idtoken.Issuer) { i.Issuer = "" },
		"no audience":      func(i *idtoken.Issuer) { i.Audience = "" },
		"no keys":          func(i *idtoken.Issuer) { i.JWKSURL = "" },
		"keys twice":       func(i *idtoken.Issuer) { i.JWKSFile = "/x" },
		"no claims":        func(i *idtoken.Issuer) { i.ExternalIDClaim, i.EmailClaim = "", "" },
		"max_age too much": func(i *idtoken.Issuer) { i.MaxAge = 25 * time.Hour },
		"max_age negative": func(i *idtoken.Issuer) { i.MaxAge = -time.Second },
		"plain http":       func(i *idtoken.Issuer) { i.JWKSURL = "http://login.example.com/" },
		"http to a name that begins like loopback": func(i *idtoken.Issuer) { i.JWKSURL = "http://127.0.0.1.example.com/" },
		"a password in the URL":                    func(i *idtoken.Issuer) { i.JWKSURL = "https://a:b@login.example.com/" },
		"a file URL":                               func(i *idtoken.Issuer) { i.JWKSURL = "file:///etc/passwd" },
	} {
		issuer := good
		change(&issuer)
		if err := issuer.Check(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
}

func TestATokenWithoutKidNeedsTheOnlyKey(t *testing.T) {
	t.Parallel()
	now := newClock()
	v := newVerifier(t, describe(newStandIn(t, published(t, map[string]any{"a": rsaKey().Public(), "b": otherRSA().Public()})).URL), now.read)
	token := signed(t, jwa.RS256, rsaKey(), nil, claims(now.read(), nil))
	if err := v.Prove(t.Context(), token, ada); !errors.Is(err, idtoken.ErrUnproven) {
		t.Errorf("either of two keys could be meant: %v", err)
	}
}

// A redirect is no answer: its target could be anybody.
func TestARedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	now := newClock()
	target := newStandIn(t, published(t, map[string]any{"rsa": rsaKey().Public()}))
	redirect := redirecting(t, target.URL)
	v := newVerifier(t, describe(redirect), now.read)
	if err := v.Prove(t.Context(), signed(t, jwa.RS256, rsaKey(), kid("rsa"), claims(now.read(), nil)), ada); !errors.Is(err, idtoken.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
	if target.fetched.Load() != 0 {
		t.Error("the target was asked")
	}
}

func FuzzVerify(f *testing.F) {
	now := newClock()
	path := filepath.Join(f.TempDir(), "jwks.json")
	if err := os.WriteFile(path, []byte(published(f, map[string]any{"ec": ecKey().Public()})), 0o600); err != nil {
		f.Fatal(err)
	}
	issuer := describe("")
	issuer.JWKSFile = path
	v := newVerifier(f, issuer, now.read)
	good := signed(f, jwa.ES256, ecKey(), kid("ec"), claims(now.read(), nil))
	f.Add(good)
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("..")
	f.Fuzz(func(t *testing.T, text string) {
		if v.Prove(t.Context(), text, ada) == nil && text != good {
			t.Errorf("%q proves ada", text)
		}
	})
}
