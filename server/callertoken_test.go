package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

func TestTokensFromTheCommandLine(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := command(t, nil, "", "caller-token", "checkout", "--output", "json")
	var made callerTokenAnswer
	if err := json.Unmarshal([]byte(stdout), &made); code != 0 || err != nil {
		t.Fatalf("code %d, %v: %s", code, err, stderr)
	}
	file := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(file, []byte(made.Line+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	auditFile := filepath.Join(t.TempDir(), "audit.jsonl")
	p := start(t, withSecret("--caller-tokens-file", file, "--audit-file", auditFile))
	if err := issueOver(withToken(t.Context(), made.Token), p.address, insecure.NewCredentials(), issueFor("user_id", "")); err != nil {
		t.Error(err)
	}
	err := issueOver(t.Context(), p.address, insecure.NewCredentials(), issueFor("user_id", ""))
	if status.Code(err) != codes.Unauthenticated || reason(err) != "CALLER_UNAUTHENTICATED" {
		t.Errorf("without a token: %v", err)
	}
	if code, stdout, _ := command(t, nil, "", "health", "--address", p.address); code != 0 {
		t.Errorf("a probe without a token: code %d, %s", code, stdout)
	}
	if code, _, stderr := command(t, nil, "", "caller-token", "two words"); code != 2 || !strings.Contains(stderr, "caller-token") {
		t.Errorf("a bad name: code %d, %s", code, stderr)
	}
	p.stop(t)
	text, err := os.ReadFile(auditFile)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), `"caller":"token:checkout"`) || strings.Contains(string(text)+p.stderr.String(), made.Token) {
		t.Error("the audit must name the caller, and nothing may hold the token")
	}
}
