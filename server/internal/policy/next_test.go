package policy_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/idtoken"
	"github.com/chatidentity/chatidentity/server/internal/policy"
)

// A token whose key nobody has: verifying it loads the issuer's keys.
const unknownKeyToken = "eyJhbGciOiJSUzI1NiIsImtpZCI6Im5vYm9keSJ9.e30.AA"

const keySet = `{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`

// keyServer serves an issuer's keys and counts how often they are fetched.
func keyServer(t *testing.T) (string, *atomic.Int32) {
	t.Helper()
	var fetched atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetched.Add(1)
		w.Write([]byte(keySet))
	}))
	t.Cleanup(server.Close)
	return server.URL, &fetched
}

func next(t *testing.T, last *policy.Policy, text string) *policy.Policy {
	t.Helper()
	p, err := last.Next([]byte(text), idtoken.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// verify makes the caller's proof look at a token that it cannot prove.
func verify(t *testing.T, p *policy.Policy, caller string) error {
	t.Helper()
	grant, found := p.Grant(caller)
	if !found || grant.Proof == nil {
		t.Fatalf("grant %+v", grant)
	}
	proven, err := grant.Proof.Verify(context.Background(), unknownKeyToken)
	if proven.ExternalID != "" || proven.Email != "" {
		t.Fatal("it proves somebody")
	}
	return err
}

func TestIssuersThatHaveNotChangedKeepTheirKeys(t *testing.T) {
	t.Parallel()
	url, fetched := keyServer(t)
	text := "issuers: {login: {issuer: 'https://login.example.com', audience: backend, jwks_url: '" + url + "', external_id: sub}}\n" +
		"callers: {loopback: {organizations: all, proof: login}}\n"
	changed := strings.Replace(text, "audience: backend", "audience: shop", 1)
	p := parse(t, text)
	for _, step := range []struct {
		what, text string
		fetched    int32
	}{
		{"the first", text, 1},
		{"the same again", text, 1},
		{"another caller", text + "  # the same issuer\n", 1},
		{"another audience", changed, 2},
		{"the first again", text, 3},
	} {
		p = next(t, p, step.text)
		if err := verify(t, p, "loopback"); !errors.Is(err, idtoken.ErrUnproven) {
			t.Errorf("%s: %v", step.what, err)
		}
		if got := fetched.Load(); got != step.fetched {
			t.Errorf("%s: keys were fetched %d times, want %d", step.what, got, step.fetched)
		}
	}
}

// A policy that Parse alone has made is not served; if it were, nobody would be proven by it.
func TestAPolicyThatIsOnlyParsedProvesNobody(t *testing.T) {
	t.Parallel()
	if err := verify(t, parse(t, goodPolicy), "token:checkout"); !errors.Is(err, idtoken.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
}

func TestAChangeThatIsRefused(t *testing.T) {
	t.Parallel()
	const callers = "callers: {loopback: {organizations: all}}\n"
	first := next(t, parse(t, "organizations: {acme: {secret_file: /etc/acme, identifiers: email}}\n"+callers),
		"# on another line\norganizations: {acme: {secret_file: /etc/acme, identifiers: email}}\n"+callers)
	for name, test := range map[string]struct{ text, want string }{
		"a mistake":                   {"callers: {loopback: {organizations: [nowhere]}}", "nowhere"},
		"one more organization":       {"organizations: {acme: {secret_file: /etc/acme, identifiers: email}, b: {secret_file: /b}}\n" + callers, "restart"},
		"one less":                    {callers, "restart"},
		"another source":              {"organizations: {acme: {secret_env: ACME, identifiers: email}}\n" + callers, "restart"},
		"another file":                {"organizations: {acme: {secret_file: /etc/b, identifiers: email}}\n" + callers, "restart"},
		"other identifiers":           {"organizations: {acme: {secret_file: /etc/acme, identifiers: exclusive}}\n" + callers, "restart"},
		"no identifiers":              {"organizations: {acme: {secret_file: /etc/acme}}\n" + callers, "restart"},
		"an issuer's keys not there":  {"organizations: {acme: {secret_file: /etc/acme, identifiers: email}}\nissuers: {login: {issuer: x, audience: y, email: email, jwks_file: /no/such}}\n" + callers, "issuer login"},
		"an organization called else": {"organizations: {b: {secret_file: /etc/acme, identifiers: email}}\n" + callers, "restart"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := first.Next([]byte(test.text), idtoken.Options{})
			if err == nil || p != nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("policy %+v, error %v, want %q", p, err, test.want)
			}
		})
	}
}
