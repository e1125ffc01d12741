package policy_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/idtoken"
	"github.com/chatidentity/chatidentity/server/internal/policy"
	"github.com/chatidentity/chatidentity/server/internal/secret"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
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
	p, err := last.Next([]byte(text), policy.Options{})
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

// stores opens the secrets of a policy's organizations from the environment's values, and notes it.
type stores struct {
	opened []string
	closed *lines
}

func (s *stores) options() policy.Options {
	return policy.Options{
		Check: func(p *policy.Policy) error {
			if _, found := p.Organizations["taken"]; found {
				return errors.New("taken is defined elsewhere")
			}
			return nil
		},
		OpenSecret: func(name string, organization policy.Organization) (*secret.Store, error) {
			if organization.SecretFile == "/wrong" {
				return nil, errors.New("the file is wrong")
			}
			s.opened = append(s.opened, name)
			log := slog.New(slog.NewTextHandler(s.closed, nil))
			return secret.Open(secret.Options{Organization: name, Logger: log}, secret.Source{Value: sensitive.New("secret of " + organization.SecretFile)})
		},
	}
}

// Organizations that have not changed keep their secrets; new ones have theirs; those that are gone,
// or whose source is another, are closed.
func TestOrganizationsComeAndGo(t *testing.T) {
	t.Parallel()
	const callers = "callers: {loopback: {organizations: all}}\n"
	s := &stores{closed: &lines{}}
	p := parse(t, callers)
	for _, step := range []struct{ what, organizations, opened, closed string }{
		{"the first", "a: {secret_file: /a}", "a", ""},
		{"the same, on another line", "\n  a: {secret_file: /a}", "", ""},
		{"one more", "a: {secret_file: /a}, b: {secret_file: /b}", "b", ""},
		{"other identifiers", "a: {secret_file: /a, identifiers: email}, b: {secret_file: /b}", "", ""},
		{"another file", "a: {secret_file: /c}, b: {secret_file: /b}", "a", "a"},
		{"another source", "a: {secret_env: C}, b: {secret_file: /b}", "a", "a"},
		{"one less", "a: {secret_env: C}", "", "b"},
		{"another name", "c: {secret_env: C}", "c", "a"},
		{"it comes back", "a: {secret_file: /a}, c: {secret_env: C}", "a", ""},
		{"the file is wrong", "a: {secret_file: /a}, c: {secret_file: /wrong}", "", ""},
		{"one that the flags define", "taken: {secret_file: /a}", "", ""},
		{"none", "", "", "a c"},
	} {
		text := "organizations: {" + step.organizations + "}\n" + callers
		switch {
		case step.organizations == "":
			text = callers
		case step.organizations[0] == '\n':
			text = "organizations:" + step.organizations + "\n" + callers
		}
		before, said := p, len(s.closed.all())
		s.opened = nil
		next, err := p.Next([]byte(text), s.options())
		if isWrong := step.what == "the file is wrong" || step.what == "one that the flags define"; isWrong != (err != nil) {
			t.Fatalf("%s: %v", step.what, err)
		} else if isWrong {
			next = before
		}
		p = next
		var closed []string
		for line := range strings.Lines(s.closed.all()[said:]) {
			if _, name, found := strings.Cut(line, "no longer used"); found {
				_, name, _ = strings.Cut(name, "organization=")
				closed = append(closed, strings.Fields(name)[0])
			}
		}
		slices.Sort(closed)
		if got := strings.Join(s.opened, " "); got != step.opened || strings.Join(closed, " ") != step.closed {
			t.Errorf("%s: opened %q, closed %q; want %q and %q", step.what, got, closed, step.opened, step.closed)
		}
		for name, organization := range p.Organizations {
			if current, err := organization.Secrets.Current(); err != nil || current.Value.Reveal() != "secret of "+organization.SecretFile {
				t.Errorf("%s: the secret of %s is another's: %v", step.what, name, err)
			}
		}
	}
}

// What one change has opened before it fails is closed again, and the last version stays whole.
func TestAChangeThatIsRefused(t *testing.T) {
	t.Parallel()
	const callers = "callers: {loopback: {organizations: all}}\n"
	for name, test := range map[string]struct{ text, want string }{
		"a mistake":                  {"callers: {loopback: {organizations: [nowhere]}}", "nowhere"},
		"an issuer's keys not there": {"organizations: {acme: {secret_file: /acme}, b: {secret_file: /b}}\nissuers: {login: {issuer: x, audience: y, email: email, jwks_file: /no/such}}\n" + callers, "issuer login"},
		"a secret that is wrong":     {"organizations: {b: {secret_file: /b}, c: {secret_file: /wrong}}\n" + callers, "wrong"},
		"what the check finds":       {"organizations: {taken: {secret_file: /b}}\n" + callers, "elsewhere"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &stores{closed: &lines{}}
			first, err := parse(t, callers).Next([]byte("organizations: {acme: {secret_file: /acme}}\n"+callers), s.options())
			if err != nil {
				t.Fatal(err)
			}
			s.opened = nil
			p, err := first.Next([]byte(test.text), s.options())
			if err == nil || p != nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("policy %+v, error %v, want %q", p, err, test.want)
			}
			closed := s.closed.all()
			if strings.Count(closed, "no longer used") != len(s.opened) || strings.Contains(closed, "no longer used\" organization=acme") {
				t.Errorf("%q were opened; log: %s", s.opened, closed)
			}
		})
	}
}

// The same policy is wrong in the same words each time, which name the file to follow.
func TestKeysThatAreNotThereAreNamed(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for _, name := range []string{"c", "a", "e", "b", "d"} {
		text.WriteString("  " + name + ": {issuer: x, audience: y, email: email, jwks_file: /no/such/" + name + "}\n")
	}
	for range 20 {
		_, err := parse(t, "callers: {}").Next([]byte("callers: {}\nissuers:\n"+text.String()), policy.Options{})
		var file *watch.NamedFileError
		if !errors.As(err, &file) || file.Path != "/no/such/a" || !strings.Contains(err.Error(), "issuer a") {
			t.Fatalf("error %v", err)
		}
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
	options := policy.Options{Issuers: idtoken.Options{Follower: follower}}
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

func (l *lines) all() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *lines) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), text)
}
