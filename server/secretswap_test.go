package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/status"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
	"github.com/chatidentity/chatidentity/server/internal/token"
)

// A secret that is mounted by Kubernetes changes by a swap of the symlink
// ..data. Each of ten swaps in a row under load takes effect, no call fails, and
// each token verifies under the secret that its record names.
func TestSecretSwapsUnderLoad(t *testing.T) {
	t.Parallel()
	volume := t.TempDir()
	swap := func(n int) string {
		value := fmt.Sprintf("swapped-secret-%d-0123456789-0123456789", n)
		version := filepath.Join(volume, fmt.Sprintf("..version-%d", n))
		if err := os.Mkdir(version, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(version, "secret"), []byte(value+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		link := filepath.Join(volume, "..data_tmp")
		if err := os.Symlink(filepath.Base(version), link); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link, filepath.Join(volume, "..data")); err != nil {
			t.Fatal(err)
		}
		return value
	}
	values := []string{swap(0)}
	if err := os.Symlink(filepath.Join("..data", "secret"), filepath.Join(volume, "secret")); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	p := start(t, setup{args: append(unlimited, "--audit-file", file, "--audit-sync", "off", "--secret-file", filepath.Join(volume, "secret"))})

	var mu sync.Mutex
	var current string // the latest token
	tokens := map[string]string{}
	stop := load(t, p, 4, func(reply *pb.IssueTokenResponse, err error) {
		if err != nil {
			t.Error(err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		current = reply.GetToken()
		tokens[reply.GetAuditId()] = current
	})
	for n := range 11 {
		if n > 0 {
			values = append(values, swap(n))
		}
		eventually(t, fmt.Sprintf("token under secret %d", n), func() bool {
			mu.Lock()
			defer mu.Unlock()
			return signedWith(current, values[n])
		})
	}
	stop()

	// The fingerprint of each secret is the one that its first token's record names.
	ids := map[any]string{}
	for _, record := range records(t, file) {
		id, _ := record["audit_id"].(string)
		text, issued := tokens[id]
		if !issued {
			continue
		}
		value, known := ids[record["secret_id"]]
		if !known {
			for _, candidate := range values {
				if signedWith(text, candidate) {
					value = candidate
				}
			}
			ids[record["secret_id"]] = value
		}
		if !signedWith(text, value) {
			t.Fatalf("the token of %s is not signed with secret %v", id, record["secret_id"])
		}
		delete(tokens, id)
	}
	if len(ids) != 11 || len(tokens) != 0 {
		t.Errorf("%d secrets in the records, want 11; %d tokens without record", len(ids), len(tokens))
	}
}

func signedWith(text, secret string) bool {
	parsed, err := token.Parse(text)
	return err == nil && parsed.SignedWith(sensitive.New(secret))
}

// A sidecar serves before it has its secret: live at once, not ready, and each
// call gets SECRET_UNAVAILABLE at once. Chat never decides whether the app runs.
func TestBeforeTheSecretIsThere(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	nowhere := []string{"--organization", "default", "--api-url", "http://127.0.0.1:1"}
	for name, how := range map[string]setup{
		"the API does not answer": {args: nowhere, env: []string{"KUSTOMER_API_KEY=test-key"}},
		"no file yet":             {args: []string{"--secret-file", filepath.Join(t.TempDir(), "later")}},
		"no directory yet":        {args: []string{"--secret-file", filepath.Join(t.TempDir(), "later", "secret")}},
		"an empty file":           {args: []string{"--secret-file", empty}},
		"no key file yet":         {args: append(nowhere, "--api-key-file", filepath.Join(t.TempDir(), "later"))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assertWaitsForItsSecret(t, start(t, how))
		})
	}
}

func TestASecretFileThatComesLaterIsTaken(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secret")
	p := start(t, setup{args: []string{"--secret-file", file}})
	assertWaitsForItsSecret(t, p)
	if err := os.WriteFile(file, []byte(testSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "readiness", func() bool {
		code, _ := p.get(t, "/readyz")
		return code == 200
	})
	if _, err := p.client(t).IssueToken(t.Context(), issueFor("user_id", "")); err != nil {
		t.Error(err)
	}
}

func assertWaitsForItsSecret(t *testing.T, p *running) {
	t.Helper()
	if code, body := p.get(t, "/livez"); code != 200 || body != "ok\n" {
		t.Errorf("live: %d %s", code, body)
	}
	if code, body := p.get(t, "/readyz"); code != 503 || !strings.HasPrefix(body, "secret of default: ") || strings.Count(body, "\n") != 1 {
		t.Errorf("ready: %d %s", code, body)
	}
	_, err := p.client(t).IssueToken(t.Context(), issueFor("user_id", ""))
	if !strings.Contains(fmt.Sprint(status.Convert(err).Details()), "SECRET_UNAVAILABLE") {
		t.Errorf("error %v", err)
	}
}
