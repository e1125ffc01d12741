package policy_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/idtoken"
	"github.com/chatidentity/chatidentity/server/internal/policy"
	"github.com/chatidentity/chatidentity/server/internal/watch"
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
	err := grant.Proof.Prove(context.Background(), unknownKeyToken, customer.Customer{ExternalID: "user_id"})
	if err == nil {
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

// The follower follows the keys of the issuers that the served policy has, and no others.
func TestKeysInFilesAreFollowedWhileTheirIssuerIsInThePolicy(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(directory, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	log := &lines{}
	follower := watch.NewFollower(slog.New(slog.NewTextHandler(log, nil)))
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { follower.Run(ctx) })
	defer running.Wait()
	defer cancel()
	issuer := func(name, file string) string {
		return "  " + name + ": {issuer: 'https://" + name + "', audience: backend, external_id: sub, jwks_file: '" + file + "'}\n"
	}
	const callers = "callers: {loopback: {organizations: all}}\n"
	stays, goes, fails := write("stays", keySet), write("goes", keySet), write("fails", keySet)
	options := idtoken.Options{Follower: follower}
	var err error
	p := parse(t, callers)
	for _, text := range []string{
		"issuers:\n" + issuer("stays", stays) + issuer("goes", goes) + callers,
		"issuers:\n" + issuer("stays", stays) + callers,
	} {
		if p, err = p.Next([]byte(text), options); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.Next([]byte("issuers:\n"+issuer("stays", stays)+issuer("fails", fails)+issuer("wrong", "/no/such")+callers), options); err == nil {
		t.Fatal("keys that are not there are an error")
	}
	write("goes", keySet+"\n")
	write("fails", keySet+"\n")
	write("stays", keySet+"\n") // settles last
	tooLate := time.After(20 * time.Second)
	for !log.has("https://stays") {
		select {
		case <-time.After(time.Millisecond):
		case <-tooLate:
			t.Fatal("a changed file of keys was not seen")
		}
	}
	if log.has("https://goes") || log.has("https://fails") {
		t.Errorf("files of no issuer are followed: %s", log.text.String())
	}
}

// lines is a log's text.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *lines) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), text)
}
