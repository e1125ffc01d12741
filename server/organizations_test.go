package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
	"google.golang.org/grpc/metadata"

	"github.com/chatidentity/chatidentity/server/internal/kustomer/standin"
)

// Fifty organizations, each with a secret of its own from a file, the environment
// or the API: tokens, metrics and a change of one are its own.
func TestFiftyOrganizations(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(directory, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	secretOf := func(n int) string { return fmt.Sprintf("canary-secret-%d-0123456789-0123456789", n) }
	apiKey := file("key", canaryAPIKey)
	policy := "callers: {loopback: {organizations: all}}\norganizations:\n"
	var env []string
	for n := range 50 {
		source := fmt.Sprintf("secret_file: %s", file(fmt.Sprint("secret", n), secretOf(n)+"\n"))
		switch n % 3 {
		case 1:
			source = fmt.Sprintf("secret_env: SECRET_%d", n)
			env = append(env, fmt.Sprintf("SECRET_%d=%s", n, secretOf(n)))
		case 2:
			vendor := standin.New(standin.Options{APIKey: canaryAPIKey, Secret: secretOf(n)})
			url, stop, err := vendor.Start()
			if err != nil {
				t.Fatal(err)
			}
			defer stop()
			source = fmt.Sprintf("api_key_file: %s, api_url: '%s'", apiKey, url)
		}
		policy += fmt.Sprintf("  org-%d: {%s}\n", n, source)
	}
	auditFile := filepath.Join(directory, "audit.jsonl")
	p := start(t, setup{args: append(unlimited, "--policy-file", file("policy.yaml", policy), "--audit-file", auditFile, "--audit-timeout", "30s"), env: env})
	client := p.client(t)
	signedBy := func(organization int, secret string) bool {
		request := issueFor("user_id", "")
		request.Organization = fmt.Sprintf("org-%d", organization)
		reply, err := client.IssueToken(t.Context(), request)
		if err != nil && reason(err) != "SECRET_UNAVAILABLE" { // the API has not answered yet
			t.Fatalf("org-%d: %v", organization, err)
		}
		return signedWith(reply.GetToken(), secret)
	}
	for n := range 50 {
		eventually(t, fmt.Sprintf("token of org-%d under its secret", n), func() bool { return signedBy(n, secretOf(n)) })
	}
	_, page := p.get(t, "/metrics")
	ids := map[string]bool{}
	for line := range strings.Lines(page) {
		if rest, found := strings.CutPrefix(line, "chatidentity_secret_info{"); found {
			_, id, _ := strings.Cut(rest, `secret_id="`)
			ids[id] = true
		}
	}
	if len(ids) != 50 {
		t.Errorf("%d fingerprints", len(ids))
	}
	if tokens := p.metric(t, `chatidentity_tokens_issued_total{identifier="external_id",organization="org-49"}`); tokens != 1 {
		t.Errorf("tokens of org-49: %v", tokens)
	}
	file("secret3", "canary-changed-0123456789-0123456789\n")
	eventually(t, "changed secret of org-3", func() bool { return signedBy(3, "canary-changed-0123456789-0123456789") })
	if !signedBy(6, secretOf(6)) {
		t.Error("the secret of org-6 changed with that of org-3")
	}
	if _, err := client.IssueToken(t.Context(), issueFor("user_id", "")); reason(err) != "UNKNOWN_ORGANIZATION" {
		t.Errorf("there is no default organization: %v", err)
	}
	p.stop(t)
	assertNoCanary(t, p, auditFile, page)
}

// One organization whose secret cannot be had does not take the others from
// their app.
func TestAnOrganizationWithoutSecretLeavesTheOthersReady(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	policy, key := filepath.Join(directory, "policy.yaml"), filepath.Join(directory, "key")
	text := "callers: {loopback: {organizations: all}}\norganizations:\n  broken: {api_key_file: " + key + ", api_url: 'http://127.0.0.1:1'}\n"
	for path, content := range map[string]string{policy: text, key: "key"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	alone := start(t, setup{args: []string{"--policy-file", policy}})
	if code, body := alone.get(t, "/readyz"); code != 503 || !strings.Contains(body, "broken") {
		t.Errorf("it alone: %d %s", code, body)
	}
	beside := start(t, withSecret("--policy-file", policy))
	if code, body := beside.get(t, "/readyz"); code != 200 {
		t.Errorf("beside another: %d %s", code, body)
	}
	request := issueFor("user_id", "")
	request.Organization = "broken"
	if _, err := beside.client(t).IssueToken(t.Context(), request); reason(err) != "SECRET_UNAVAILABLE" {
		t.Errorf("its tokens: %v", err)
	}
}

// A caller under proof gets tokens for users whose ID token it holds, and for
// nobody else.
func TestProofOfTheUserEndToEnd(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	published, err := jwk.FromRaw(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	if err := published.Set(jwk.KeyIDKey, "one"); err != nil {
		t.Fatal(err)
	}
	var down atomic.Bool
	down.Store(true)
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if down.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{published}})
	}))
	defer issuer.Close()
	directory := t.TempDir()
	policy, auditFile := filepath.Join(directory, "policy.yaml"), filepath.Join(directory, "audit.jsonl")
	text := "issuers:\n  login: {issuer: 'https://login.example.com', audience: backend, jwks_url: '" + issuer.URL + "', external_id: sub, email: email}\n" +
		"callers: {loopback: {organizations: [default], proof: login}}\n"
	if err := os.WriteFile(policy, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, withSecret("--policy-file", policy, "--audit-file", auditFile, "--log-level", "debug"))
	idToken := func(subject string, age time.Duration, groups ...string) string {
		headers := jws.NewHeaders()
		if err := headers.Set(jws.KeyIDKey, "one"); err != nil {
			t.Fatal(err)
		}
		issued := time.Now().Add(-age)
		claims, err := json.Marshal(map[string]any{
			"iss": "https://login.example.com", "aud": "backend", "sub": subject, "email": canaryEmail, "email_verified": "true", "groups": groups,
			"iat": issued.Unix(), "exp": issued.Add(time.Hour).Unix(),
		})
		if err != nil {
			t.Fatal(err)
		}
		signed, err := jws.Sign(claims, jws.WithKey(jwa.ES256, key, jws.WithProtectedHeaders(headers)))
		if err != nil {
			t.Fatal(err)
		}
		return string(signed)
	}
	issue := func(token, externalID, email string) error {
		ctx := t.Context()
		if token != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, "x-user-id-token", token)
		}
		_, err := p.client(t).IssueToken(ctx, issueFor(externalID, email))
		return err
	}
	var told []string
	expect := func(what, want string, err error) {
		t.Helper()
		told = append(told, said(err))
		if reason(err) != want || want == "" && err != nil {
			t.Errorf("%s: %v, want %q", what, err, want)
		}
	}
	good := idToken(canaryID, 0)
	expect("the keys cannot be had", "PROOF_UNAVAILABLE", issue(good, canaryID, ""))
	down.Store(false)
	eventually(t, "keys", func() bool { return issue(good, canaryID, "") == nil })
	p.assertOneOutage(t, "jwks")
	expect("both", "", issue(good, canaryID, canaryEmail))
	large := idToken(canaryID, 0, slices.Repeat([]string{"0190b5a4-7b3c-7d2e-8f10-2b3c4d5e6f70"}, 590)...)
	if size := len(large); size < 30<<10 || size > 32<<10 {
		t.Fatalf("the large ID token has %d bytes", size)
	}
	expect("an ID token of 30 KiB", "", issue(large, canaryID, canaryEmail))
	expect("no token", "USER_UNPROVEN", issue("", canaryID, ""))
	expect("a token of rubbish", "USER_UNPROVEN", issue("canary", canaryID, ""))
	expect("replayed after max_age", "USER_UNPROVEN", issue(idToken(canaryID, 11*time.Minute), canaryID, ""))
	expect("for somebody else", "USER_MISMATCH", issue(good, "canary-somebody-else", ""))
	expect("for somebody else's email", "USER_MISMATCH", issue(good, canaryID, "canary-else@example.com"))
	expect("somebody else's token", "USER_MISMATCH", issue(idToken("canary-somebody-else", 0), canaryID, ""))
	file := filepath.Join(directory, "id-token")
	if err := os.WriteFile(file, []byte(good+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	issueBy := []string{"issue", "--address", p.address, "--external-id", canaryID}
	if code, _, stderr := command(t, nil, "", append(issueBy, "--user-id-token-file", file)...); code != 0 {
		t.Errorf("the client command with the ID token: %s", stderr)
	}
	if code, _, stderr := command(t, nil, "", issueBy...); code != 1 || !strings.Contains(stderr, "USER_UNPROVEN") {
		t.Errorf("the client command without it: code %d, %s", code, stderr)
	}
	_, metrics := p.get(t, "/metrics")
	p.stop(t)
	assertNoCanary(t, p, auditFile, append(told, metrics)...)
	reasons := map[any]bool{}
	for _, record := range records(t, auditFile) {
		reasons[record["reason"]] = true
	}
	for _, want := range []string{"PROOF_UNAVAILABLE", "USER_UNPROVEN", "USER_MISMATCH"} {
		if !reasons[want] {
			t.Errorf("no record of %s", want)
		}
	}
}
