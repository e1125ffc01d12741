package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// At a strict start one line names the first file that is wrong.
func aStrictStartEndsAtAWrongFile(t *testing.T) {
	t.Parallel()
	code, _, stderr := command(t, []string{"KUSTOMER_SECRET_KEY=" + testSecret}, "", "serve", "--strict-start",
		"--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--caller-tokens-file", "/no/such")
	last := stderr[strings.LastIndex(strings.TrimSpace(stderr), "\n")+1:]
	if code != exitUsage || last != "chatidentity: --caller-tokens-file: open /no/such: no such file or directory\n" {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}

// The secret and the API key may come later, as the flag's help says.
func TestAStrictStartWaitsForTheSecret(t *testing.T) {
	t.Parallel()
	for name, source := range map[string][]string{
		"no secret file":        {"--secret-file", filepath.Join(t.TempDir(), "secret")},
		"an empty secret file":  {"--secret-file", writeFile(t, "")},
		"no API key file":       {"--organization", "acme", "--api-key-file", filepath.Join(t.TempDir(), "key")},
		"an empty API key file": {"--organization", "acme", "--api-key-file", writeFile(t, "")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, setup{args: append([]string{"--strict-start"}, source...)})
			if _, err := p.issue(t, issueFor("user_id", "")); reason(err) != "SECRET_UNAVAILABLE" {
				t.Errorf("a call gets %v, want SECRET_UNAVAILABLE", err)
			}
		})
	}
}
