package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

func (p *patient) args() []string {
	args := []string{"doctor", "--output", "json"}
	for _, flag := range slices.Sorted(maps.Keys(p.flags)) {
		args = append(args, "--"+flag+"="+p.flags[flag])
	}
	return args
}

// examine runs doctor and returns what is not in order, by check.
func (p *patient) examine(t *testing.T) map[string]finding {
	t.Helper()
	vendor := standin.New(p.vendor)
	vendor.SetBehaviour(p.mood)
	url, stop, err := vendor.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if p.env != nil && p.flags["api-url"] == "" {
		p.flags["api-url"] = url
	}
	code, stdout, stderr := command(t, p.env, "", p.args()...)
	return diagnosis(t, code, stdout, stderr)
}

// diagnosis reads the answer, and checks what holds of every answer.
func diagnosis(t *testing.T, code int, stdout, stderr string) map[string]finding {
	t.Helper()
	var report doctorReport
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatalf("%v: code %d, %s%s", err, code, stdout, stderr)
	}
	if strings.Contains(stdout+stderr, "canary") || strings.Contains(stdout+stderr, canaryAuditKey) {
		t.Errorf("a value is told: %s%s", stdout, stderr)
	}
	failed := slices.ContainsFunc(report.Checks, func(f finding) bool { return f.Status == resultFailed })
	if report.OK == failed || (code == 1) != failed || code > 1 {
		t.Errorf("exit code %d: %s", code, stdout)
	}
	found := map[string]finding{}
	for _, f := range report.Checks {
		if f.Status != resultOK {
			found[f.Check] = f
		}
	}
	return found
}

// want is what is not in order, by check; DIR is the patient's directory.
type want map[string]struct {
	status result
	detail string
}

func (p *patient) assertFound(t *testing.T, want want) {
	t.Helper()
	found := p.examine(t)
	for check, want := range want {
		check, want.detail = strings.ReplaceAll(check, "DIR", p.directory), strings.ReplaceAll(want.detail, "DIR", p.directory)
		if got := found[check]; got.Status != want.status || !strings.Contains(got.Detail, want.detail) {
			t.Errorf("%s: %q %q, want %q %q", check, got.Status, got.Detail, want.status, want.detail)
		}
		delete(found, check)
	}
	if len(found) > 0 {
		t.Errorf("found also %v", found)
	}
}
