package main

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/kustomer/standin"
)

// patient is a configuration in which doctor finds nothing, until a test breaks
// it.
type patient struct {
	directory string
	vendor    standin.Options
	mood      standin.Behaviour
	env       []string
	flags     map[string]string

	wrap []string // a command that runs the program
	user uint32   // who runs it; 0: the test's own user
}

const canaryPassword = "canary-password"

var canaryAuditKey = base64.StdEncoding.EncodeToString([]byte("canary-audit-key-0123456789-0123456789"))

func newPatient(t *testing.T) *patient {
	t.Helper()
	directory, err := os.MkdirTemp("", "doctor-*") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(directory) })
	p := &patient{
		directory: directory,
		vendor:    standin.Options{APIKey: canaryAPIKey, Secret: canarySecret},
		mood:      standin.Normal,
		env:       []string{"KUSTOMER_API_KEY=" + canaryAPIKey},
	}
	p.flags = map[string]string{
		"listen":            "unix:" + p.path("s") + ",127.0.0.1:0",
		"allow-uid":         fmt.Sprint(os.Getuid()),
		"admin-listen":      "127.0.0.1:0",
		"identifier-policy": "external-id",
		"audit-file":        p.path("audit.jsonl"),
		"audit-key-file":    p.write(t, "audit.key", canaryAuditKey+"\n"),
		"audit-min-free":    "1MiB",
		"audit-timeout":     "30s", // a test machine's disk may be busy
	}
	return p
}

func (p *patient) path(name string) string { return filepath.Join(p.directory, name) }

func (p *patient) write(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.WriteFile(p.path(name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return p.path(name)
}

// secretFile makes a file the source in place of the API.
func (p *patient) secretFile(t *testing.T, text string) {
	t.Helper()
	p.env = nil
	p.flags["secret-file"] = p.write(t, "secret", text)
}

// serve runs the sidecar on the patient's audit file and issues a token.
func (p *patient) serve(t *testing.T, more ...string) *running {
	t.Helper()
	sidecar := start(t, withSecret(append([]string{"--audit-file", p.flags["audit-file"], "--audit-key-file", p.flags["audit-key-file"]}, more...)...))
	if _, err := sidecar.client(t).IssueToken(t.Context(), issueFor("user_id", "")); err != nil {
		t.Fatal(err)
	}
	return sidecar
}

// withRecords leaves records in the audit file and returns them.
func (p *patient) withRecords(t *testing.T) string {
	t.Helper()
	if code := p.serve(t).stop(t); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	text, err := os.ReadFile(p.flags["audit-file"])
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// asAnotherUser runs as one who has not made the files.
func (p *patient) asAnotherUser(t *testing.T) {
	t.Helper()
	needs(t, "root, to run as another user,", os.Getuid() == 0)
	p.user = 23460
	chmod(t, p.directory, 0o755)
	p.secretFile(t, canarySecret)
}

// asMount makes the secret's file a mount, as with subPath. Such a file never changes.
func (p *patient) asMount(t *testing.T) {
	t.Helper()
	needs(t, "root, to mount,", os.Getuid() == 0)
	p.secretFile(t, canarySecret)
	path := p.flags["secret-file"]
	p.flags["secret-file"] = filepath.Base(path) // mounts have whole paths
	p.wrap = []string{"unshare", "--mount", "sh", "-c", `mount --bind "$1" "$1" && shift && exec "$@"`, "sh", path}
}

// withRedis shares the limits through a Redis with a password.
func (p *patient) withRedis(t *testing.T) {
	t.Helper()
	server := startRedis(t)
	if err := server.ConfigSet(t.Context(), "requirepass", canaryPassword).Err(); err != nil {
		t.Fatal(err)
	}
	p.flags["limit-redis"] = "unix://" + server.socket
	p.flags["limit-redis-timeout"] = "5s"
	p.flags["limit-redis-password-file"] = p.write(t, "password", canaryPassword+"\n")
}
