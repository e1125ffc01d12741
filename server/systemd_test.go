package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const systemdUnit = "../deploy/systemd/chatidentity.service"

// systemd finds nothing wrong with the unit, and little that it could still forbid. The exposure is
// of a scale from 0 to 10.
func TestTheSystemdUnit(t *testing.T) {
	t.Parallel()
	requireTool(t, "systemd-analyze")
	unit := filepath.Join(t.TempDir(), "chatidentity.service")
	text := strings.Replace(readFile(t, systemdUnit), "/usr/local/bin/chatidentity", program, 1)
	if err := os.WriteFile(unit, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", unit).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("verify: %v\n%s", err, out)
	}
	security := exec.CommandContext(t.Context(), "systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=15", unit)
	if out, err := security.CombinedOutput(); err != nil {
		t.Errorf("security: exposure above 1.5: %v\n%s", err, out)
	}
}

// The unit's command line serves on the socket and keeps its records, with directories and
// credentials as systemd makes them.
func TestTheCommandOfTheSystemdUnit(t *testing.T) {
	t.Parallel()
	_, command, found := strings.Cut(readFile(t, systemdUnit), "\nExecStart=/usr/local/bin/chatidentity serve ")
	command, _, ends := strings.Cut(strings.ReplaceAll(command, "\\\n", " "), "\n")
	if !found || !ends {
		t.Fatal("the unit has no ExecStart")
	}
	root, err := os.MkdirTemp("", "ci-") // short, for the socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	for _, directory := range []string{"run/chatidentity", "state/chatidentity", "credentials"} {
		if err := os.MkdirAll(filepath.Join(root, directory), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range map[string]string{"kustomer.secret": testSecret, "audit.key": readFile(t, limitKeyFile(t))} {
		if err := os.WriteFile(filepath.Join(root, "credentials", name), []byte(content), 0o400); err != nil {
			t.Fatal(err)
		}
	}
	specifiers := strings.NewReplacer("%t", root+"/run", "%S", root+"/state", "%d", root+"/credentials")
	p := start(t, setup{args: append(strings.Fields(specifiers.Replace(command)), "--allow-uid", "0,1001")})
	address := "unix:" + root + "/run/chatidentity/chatidentity.sock"
	code, token, said := commandOf(t, program, nil, "", "issue", "--address", address, "--external-id", "user_id")
	if code != exitOK {
		t.Fatalf("issue: code %d\n%s", code, said)
	}
	if code := p.stop(t); code != exitOK {
		t.Errorf("exit code %d\n%s", code, p.stderr)
	}
	records := readFile(t, root+"/state/chatidentity/audit.jsonl")
	if !strings.Contains(records, `"event":"token.issue"`) || !strings.Contains(token, ".") {
		t.Errorf("no record of the token:\n%s", records)
	}
}
