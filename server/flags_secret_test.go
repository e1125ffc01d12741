package main

import (
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/caller/callertest"
	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/kustomer/standin"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
	"github.com/chatidentity/chatidentity/server/internal/token"
)

func tokensAreSignedWithTheFile(t *testing.T) {
	t.Parallel()
	p := start(t, setup{args: []string{"--secret-file", writeFile(t, rotated(1))}})
	if !signedWith(p.mustIssue(t), rotated(1)) {
		t.Error("the token is not signed with the secret in the file")
	}
}

func callsNameTheOrganization(t *testing.T) {
	t.Parallel()
	p := start(t, withSecret("--organization", "acme"))
	for name, want := range map[string]string{"": "", "acme": "", "default": "UNKNOWN_ORGANIZATION"} {
		request := issueFor("user_id", "")
		request.Organization = name
		if _, err := p.issue(t, request); reason(err) != want {
			t.Errorf("organization %q: %v, want %q", name, err, want)
		}
	}
}

func theEmailAloneIsSigned(t *testing.T) {
	t.Parallel()
	p := start(t, withSecret("--identifier-policy", "email"))
	text, err := p.issue(t, issueFor("user_id", "ada@example.com"))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := token.Parse(text)
	if want := (customer.Customer{Email: "ada@example.com"}); err != nil || parsed.Customer() != want {
		t.Errorf("the token is for %v, error %v", parsed.Customer(), err)
	}
}

func theSecretIsFetchedAgain(t *testing.T) {
	t.Parallel()
	vendor := standin.New(standin.Options{APIKey: canaryAPIKey, Secret: rotated(0)})
	p := start(t, setup{args: append(unlimited,
		"--api-url", startVendor(t, vendor), "--api-key-file", writeFile(t, canaryAPIKey), "--secret-refresh", "1s",
	)})
	for n := range 2 {
		vendor.SetSecret(rotated(n))
		eventually(t, "a token under the secret of now", func() bool {
			text, err := p.issue(t, issueFor("user_id", ""))
			return err == nil && signedWith(text, rotated(n))
		})
	}
}

// Kustomer's API, behind a private CA: it is trusted with the CA's file alone, and once a wrong
// file is mended without a restart.
func aPrivateCAIsTrusted(t *testing.T) {
	t.Parallel()
	ca := callertest.NewCA(t)
	server := httptest.NewUnstartedServer(standin.New(standin.Options{APIKey: canaryAPIKey, Secret: rotated(0)}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Server(t).TLS(t)}, MinVersion: tls.VersionTLS12}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	with := func(caFile ...string) *running {
		return start(t, setup{args: append([]string{
			"--api-url", server.URL, "--api-key-file", writeFile(t, canaryAPIKey), "--secret-refresh", "1s",
		}, caFile...)})
	}
	without := with()
	eventually(t, "word of the CA", func() bool {
		_, body := without.get(t, "/readyz")
		return strings.Contains(body, "its TLS certificate is not trusted") && strings.Contains(body, "add that CA")
	})
	file := writeFile(t, "not PEM")
	p := with("--ca-file", file)
	eventually(t, "word of the file", func() bool {
		_, body := p.get(t, "/readyz")
		return strings.Contains(body, "--ca-file "+file+": it holds no certificate in PEM")
	})
	if err := os.WriteFile(file, ca.PEM, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "token", func() bool {
		text, err := p.issue(t, issueFor("user_id", ""))
		return err == nil && signedWith(text, rotated(0))
	})
}

// A proxy that is in the way is named, without its password.
func TestAProxyInTheWayIsNamed(t *testing.T) {
	t.Parallel()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	t.Cleanup(proxy.Close)
	host := strings.TrimPrefix(proxy.URL, "http://")
	p := start(t, setup{
		args: []string{"--organization", "acme"},
		env:  []string{"KUSTOMER_API_KEY=" + canaryAPIKey, "HTTPS_PROXY=http://user:canary-password@" + host, "NO_PROXY="},
	})
	eventually(t, "word of the proxy", func() bool {
		_, body := p.get(t, "/readyz")
		return strings.Contains(body, "through the proxy "+host+": it refuses the connection with the status 403")
	})
	if strings.Contains(p.stderr.String(), "canary") {
		t.Errorf("a password or key is logged: %s", p.stderr)
	}
}

// A difference that is more than the default is tolerated, and one that is less is not.
func kustomersClockMayDiffer(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		skew   string
		apart  time.Duration
		reason string
	}{
		"as far as that": {"15m", 10 * time.Minute, ""},
		"no farther":     {"30s", 2 * time.Minute, "CLOCK_SKEWED"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vendor := standin.New(standin.Options{
				APIKey: canaryAPIKey, Secret: rotated(1), Now: func() time.Time { return time.Now().Add(test.apart) },
			})
			p, _ := startOnStandin(t, vendor, "--max-clock-skew", test.skew, "--secret-refresh", "1s")
			eventually(t, "three answers that were heard", func() bool { return vendor.Requests() > 3 })
			if _, err := p.issue(t, issueFor("user_id", "")); reason(err) != test.reason {
				t.Errorf("error %v, want %q", err, test.reason)
			}
		})
	}
}

// The same for VerifyToken and a token's iat.
func tokensMayComeFromTheFuture(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		skew  string
		ahead time.Duration
		want  pb.Verdict
	}{
		"as far as that": {"15m", 10 * time.Minute, pb.Verdict_VERDICT_ACCEPTED},
		"no farther":     {"30s", 2 * time.Minute, pb.Verdict_VERDICT_NOT_YET_VALID},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, withSecret("--max-clock-skew", test.skew))
			user, issued := customer.Customer{ExternalID: "user_id"}, time.Now().Add(test.ahead)
			early, err := token.Sign(sensitive.New(testSecret), user, issued)
			if err != nil {
				t.Fatal(err)
			}
			assertVerdict(t, p.client(t), early.Reveal(), test.want)
		})
	}
}
