package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/caller/callertest"
	"github.com/chatidentity/chatidentity/server/internal/kustomer/standin"
)

// Every kind of file that serve follows is reloaded in each way in which files are changed, the tenth
// time as the first, without waiting for the poll of 10 s.
func TestEachKindOfFileIsFollowed(t *testing.T) {
	t.Parallel()
	for name, replace := range map[string]func(t *testing.T, v *volume, files map[string][]byte){
		"a volume of Kubernetes": func(t *testing.T, v *volume, files map[string][]byte) { v.swap(t, files) },
		"written in place": each(func(path string, text []byte) error {
			return os.WriteFile(path, text, 0o600)
		}),
		"renamed over": each(func(path string, text []byte) error {
			if err := os.WriteFile(path+".new", text, 0o600); err != nil {
				return err
			}
			return os.Rename(path+".new", path)
		}),
		"removed and made anew": each(func(path string, text []byte) error {
			if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
				return err
			}
			return os.WriteFile(path, text, 0o600)
		}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ca := callertest.NewCA(t)
			pair := ca.Server(t)
			v := &volume{directory: t.TempDir()}
			files := func(round int) map[string][]byte {
				_, line := newToken(t, "backend")
				blanks := strings.Repeat("\n", round)
				return map[string][]byte{
					"policy.yaml": []byte(policyOf(v) + blanks), "jwks": []byte(publicKeySet + blanks),
					"tls.crt": slices.Concat(pair.Certificate, []byte(blanks)), "tls.key": pair.Key, "ca.crt": ca.PEM,
					"tokens": []byte(line + "\n"), "secret": []byte(rotated(round)),
					"api.key": fmt.Append(nil, "canary-key-", round), "redis.password": fmt.Append(nil, "canary-password-", round),
				}
			}
			replace(t, v, files(0))
			p := start(t, setup{args: followingAll(t, v)})
			for round := 1; round <= 10; round++ {
				replace(t, v, files(round))
				for _, kind := range []string{"policy", "tls", "caller_tokens", "secret", "api_key", "jwks", "redis_password", "redis_tls"} {
					eventually(t, fmt.Sprintf("reload %d of %s", round, kind), func() bool {
						return p.metric(t, `chatidentity_file_reloads_total{file="`+kind+`",result="ok"}`) == float64(round)
					})
				}
			}
			p.stop(t)
			if log := p.stderr.String(); strings.Contains(log, "canary") || strings.Count(log, `"msg":"reloaded"`) != 80 {
				t.Errorf("log: %s", log)
			}
		})
	}
}

// each writes one file after the other.
func each(write func(path string, text []byte) error) func(t *testing.T, v *volume, files map[string][]byte) {
	return func(t *testing.T, v *volume, files map[string][]byte) {
		t.Helper()
		for name, text := range files {
			if err := write(v.path(name), text); err != nil {
				t.Fatal(err)
			}
		}
	}
}

const publicKeySet = `{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`

func policyOf(v *volume) string {
	return "organizations: {acme: {secret_file: " + v.path("secret") + "}}\n" +
		"issuers: {login: {issuer: 'https://login.example.com', audience: backend, external_id: sub, jwks_file: " + v.path("jwks") + "}}\n" +
		"callers: {'token:backend': {organizations: all, proof: login}}\n"
}

// followingAll are the flags under which serve follows a file of each kind.
func followingAll(t *testing.T, v *volume) []string {
	t.Helper()
	auditKey := filepath.Join(t.TempDir(), "audit.key")
	if err := os.WriteFile(auditKey, []byte(strings.Repeat("A", 44)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{
		"--listen", "0.0.0.0:0", "--tls-cert", v.path("tls.crt"), "--tls-key", v.path("tls.key"), "--tls-client-ca", v.path("ca.crt"),
		"--policy-file", v.path("policy.yaml"), "--caller-tokens-file", v.path("tokens"),
		"--api-key-file", v.path("api.key"), "--api-url", startVendor(t, standin.New(standin.Options{APIKey: "canary-key-0"})),
		"--limit-redis", "rediss://127.0.0.1:1", "--limit-redis-ca", v.path("tls.crt"), "--limit-redis-password-file", v.path("redis.password"), "--audit-key-file", auditKey,
	}
}
