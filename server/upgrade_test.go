package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
)

// released is the last release, or until there is one the commit that .ci/previous names.
type released struct{ commit, program string }

// buildReleased builds it once for all tests, beside the program of this one.
var buildReleased = sync.OnceValues(func() (released, error) {
	name, err := os.ReadFile("../.ci/previous")
	if err != nil {
		return released{}, err
	}
	old := released{commit: strings.TrimSpace(string(name)), program: filepath.Join(filepath.Dir(program), "released")}
	source, err := os.MkdirTemp("", "released-*")
	if err != nil {
		return old, err
	}
	defer os.RemoveAll(source)
	for _, line := range []string{
		`git -C "$1/.." archive "$2" | tar -x -C "$3"`,
		`cd "$3" && go build -tags grpcnotrace -o "$4" ./server`,
	} {
		here, err := os.Getwd()
		if err != nil {
			return old, err
		}
		out, err := exec.Command("bash", "-o", "pipefail", "-c", line, "bash", here, old.commit, source, old.program).CombinedOutput()
		if err != nil {
			return old, fmt.Errorf("%s: %w\n%s", line, err, out)
		}
	}
	return old, os.Chmod(old.program, 0o755)
})

func theReleased(t *testing.T) released {
	t.Helper()
	old, err := buildReleased()
	if err != nil {
		t.Fatalf("the program of the last release: %v", err)
	}
	return old
}

// file returns a file as the release had it.
func (r released) file(t *testing.T, path string) string {
	t.Helper()
	text, err := exec.CommandContext(t.Context(), "git", "-C", "..", "show", r.commit+":"+path).Output()
	if err != nil {
		t.Fatalf("%s of %s: %v", path, r.commit, err)
	}
	return string(text)
}

// In every rollout the last release and this program run side by side, and one goes on where the
// other stopped.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	old := theReleased(t)
	t.Run("each goes on with the other's audit file, and reads it", func(t *testing.T) {
		t.Parallel()
		file, key := filepath.Join(t.TempDir(), "audit.jsonl"), limitKeyFile(t)
		turns := []string{old.program, program, old.program, program}
		for _, binary := range turns {
			s := withSecret("--audit-file", file, "--audit-key-file", key)
			s.binary = binary
			p := start(t, s)
			p.mustIssue(t)
			if code := p.stop(t); code != 0 {
				t.Fatalf("exit code %d\n%s", code, p.stderr)
			}
		}
		for _, binary := range turns[:2] {
			if code, out, said := commandOf(t, binary, nil, "", "audit", "verify", "--audit-key-file", key, file); code != 0 {
				t.Errorf("%s verifies: exit code %d\n%s%s", filepath.Base(binary), code, out, said)
			}
			code, out, said := commandOf(t, binary, nil, "", "audit", "find", "--output", "json", "--since", "24h", "--audit-key-file", key, file)
			if found := strings.Count(out, `"event":"token.issue"`); code != 0 || found != len(turns) {
				t.Errorf("%s finds %d tokens, want %d; exit code %d\n%s%s", filepath.Base(binary), found, len(turns), code, out, said)
			}
		}
	})
	t.Run("they spend one budget", func(t *testing.T) {
		t.Parallel()
		server, key := startRedis(t), limitKeyFile(t)
		var both [2]*running
		for i, binary := range []string{old.program, program} {
			s := replica(t, server.socket, key, "--limit-customer", "6/h:6", "--limit-redis-failure", "closed", "--limit-redis-timeout", "10s")
			s.binary = binary
			both[i] = start(t, s)
		}
		passed := 0
		for i := range 12 {
			if _, err := both[i%2].issue(t, &pb.IssueTokenRequest{Customer: &pb.Customer{ExternalId: "the-same-customer"}}); err == nil {
				passed++
			}
		}
		if passed != 6 {
			t.Errorf("%d of 12 calls passed, want 6", passed)
		}
	})
	for _, pair := range []struct{ name, client, server string }{
		{"the last client and this server", old.program, program},
		{"this client and the last server", program, old.program},
	} {
		t.Run(pair.name, func(t *testing.T) {
			t.Parallel()
			s := withSecret()
			s.binary = pair.server
			p := start(t, s)
			code, token, said := commandOf(t, pair.client, nil, "", "issue", "--address", p.address, "--external-id", "user_id")
			if code != 0 {
				t.Fatalf("issue: exit code %d\n%s", code, said)
			}
			for _, args := range [][]string{{"verify", "--address", p.address, strings.TrimSpace(token)}, {"health", "--address", p.address}} {
				if code, out, said := commandOf(t, pair.client, nil, "", args...); code != 0 {
					t.Errorf("%s: exit code %d\n%s%s", args[0], code, out, said)
				}
			}
		})
	}
	t.Run("it takes the last one's configuration files", func(t *testing.T) {
		t.Parallel()
		policy, secret := writeFile(t, old.file(t, "docs/policy-example.yaml")), writeFile(t, testSecret)
		_, tokens, _ := commandOf(t, old.program, nil, "", "caller-token", "orders")
		for _, binary := range []string{old.program, program} {
			if code, out, said := commandOf(t, binary, nil, "", "policy", "check", policy); code != 0 {
				t.Errorf("%s: policy check: exit code %d\n%s%s", filepath.Base(binary), code, out, said)
			}
		}
		if !strings.Contains(tokens, "orders") {
			t.Fatalf("caller-token printed %q", tokens)
		}
		s := setup{args: []string{"--strict-start", "--secret-file", secret, "--audit-key-file", limitKeyFile(t)}}
		if code := start(t, s).stop(t); code != 0 {
			t.Errorf("exit code %d", code)
		}
	})
}

// Scripts and manifests depend on exit codes: both programs end the same way.
func TestExitCodesAreThoseOfTheLastRelease(t *testing.T) {
	t.Parallel()
	old := theReleased(t)
	missing := filepath.Join(t.TempDir(), "missing")
	torn := filepath.Join(t.TempDir(), "torn.jsonl")
	if err := os.WriteFile(torn, bytes.Repeat([]byte("no record\n"), 3), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{},
		{"--help"},
		{"version"},
		{"no-such-command"},
		{"serve", "--no-such-flag"},
		{"serve"},
		{"serve", "--listen", "nowhere"},
		{
			"serve", "--strict-start", "--secret-file", torn, "--policy-file", missing,
			"--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
		},
		{"doctor"},
		{"doctor", "--secret-file", missing},
		{"dev", "--exit"},
		{"health", "--address", "127.0.0.1:1", "--timeout", "100ms"},
		{"issue", "--address", "127.0.0.1:1", "--timeout", "100ms", "--external-id", "user_id"},
		{"issue"},
		{"verify", "--address", "127.0.0.1:1", "--timeout", "100ms", "no.token.here"},
		{"audit", "verify", missing},
		{"audit", "verify", torn},
		{"audit", "find", "--email", "a@example.com", missing},
		{"policy", "check", missing},
		{"policy", "check", torn},
		{"caller-token"},
		{"caller-token", "orders"},
		{"secret", "fetch", "--api-url", "http://127.0.0.1:1", "--timeout", "1s"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			before, _, _ := commandOf(t, old.program, nil, "", args...)
			now, out, said := command(t, nil, "", args...)
			if before != now || now < 0 { // below 0: it did not end, and was killed
				t.Errorf("exit code %d, the last release's is %d\n%s%s", now, before, out, said)
			}
		})
	}
}
