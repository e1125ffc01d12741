package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const systemdUnit = "../deploy/systemd/chatidentity.service"

// systemd finds nothing wrong with the units, and little that it could still forbid. The exposure is
// of a scale from 0 to 10.
func TestTheSystemdUnits(t *testing.T) {
	t.Parallel()
	requireTool(t, "systemd-analyze")
	folder := t.TempDir()
	units, err := filepath.Glob("../deploy/systemd/*")
	if err != nil || len(units) == 0 {
		t.Fatalf("units %q: %v", units, err)
	}
	for i, source := range units {
		text := strings.Replace(readFile(t, source), "/usr/local/bin/chatidentity", program, 1)
		units[i] = filepath.Join(folder, filepath.Base(source))
		if err := os.WriteFile(units[i], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	writeDropIn(t, filepath.Join(folder, "chatidentity.service.d"))
	verify := exec.CommandContext(t.Context(), "systemd-analyze", append([]string{"verify"}, units...)...)
	if out, err := verify.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("verify: %v\n%s", err, out)
	}
	for _, unit := range units {
		if filepath.Ext(unit) != ".service" {
			continue
		}
		security := exec.CommandContext(t.Context(), "systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=15", unit)
		if out, err := security.CombinedOutput(); err != nil {
			t.Errorf("security: exposure above 1.5: %v\n%s", err, out)
		}
	}
}

// writeDropIn writes the one of docs/install.md, which gives the service a file more.
func writeDropIn(t *testing.T, folder string) {
	t.Helper()
	_, text, found := strings.Cut(readFile(t, "../docs/install.md"), "chatidentity.service.d/redis.conf <<'END'\n")
	text, _, ends := strings.Cut(text, "END\n")
	if !found || !ends {
		t.Fatal("docs/install.md has no drop-in")
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "redis.conf"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
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
	specifiers := strings.NewReplacer("%t", root+"/run", "%S", root+"/state", "${CREDENTIALS_DIRECTORY}", root+"/credentials")
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

// The command of the unit that verifies, with a journal of the sidecar's log: it finds all in order
// after files were deleted, and fails when a record was changed or nobody knows what was deleted.
func TestTheCommandOfTheVerifyingSystemdUnit(t *testing.T) {
	t.Parallel()
	_, command, found := strings.Cut(readFile(t, "../deploy/systemd/chatidentity-verify.service"), "\nExecStart=")
	command, _, ends := strings.Cut(strings.ReplaceAll(command, "\\\n", " "), "\n")
	if !found || !ends {
		t.Fatal("the unit has no ExecStart")
	}
	folder, key := t.TempDir(), limitKeyFile(t)
	records := filepath.Join(folder, "records")
	if err := os.Mkdir(records, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(records, "audit.jsonl")
	p := start(t, withSecret(append(unlimited, "--audit-file", file, "--audit-key-file", key, "--audit-max-files", "1")...))
	eventually(t, "deleted file", func() bool {
		if _, err := p.client(t).IssueToken(t.Context(), issueFor("user_id", "")); err != nil {
			t.Fatal(err)
		}
		hangUp(t, p)
		return strings.Contains(p.stderr.String(), "audit_file_deleted")
	})
	if _, err := p.client(t).IssueToken(t.Context(), issueFor("user_id", "")); err != nil {
		t.Fatal(err)
	}
	p.stop(t)
	verify := func(journal string, variables ...string) (string, error) {
		if err := os.WriteFile(filepath.Join(folder, "journal"), []byte(journal), 0o600); err != nil {
			t.Fatal(err)
		}
		fake := "#!/bin/sh\ncat " + folder + "/journal\n"
		if err := os.WriteFile(filepath.Join(folder, "journalctl"), []byte(fake), 0o700); err != nil {
			t.Fatal(err)
		}
		paths := strings.NewReplacer("/usr/local/bin/chatidentity", program, "/etc/chatidentity/audit.key", key,
			"/var/lib/chatidentity", records, "$$", "$")
		run := exec.CommandContext(t.Context(), "sh", "-c", paths.Replace(command))
		run.Env = append([]string{"PATH=" + folder + ":" + os.Getenv("PATH")}, variables...)
		out, err := run.CombinedOutput()
		return string(out), err
	}
	log := p.stderr.String()
	if out, err := verify(log); err != nil {
		t.Errorf("of whole records: %v\n%s", err, out)
	}
	if out, err := verify(""); err == nil || !strings.Contains(out, "missing") {
		t.Errorf("without the journal: %v\n%s", err, out)
	}
	told := log[strings.LastIndex(log, "audit_file_deleted"):]
	head := regexp.MustCompile(`[0-9]+:[0-9a-f]{64}`).FindString(told)
	if out, err := verify("", "CHATIDENTITY_FROM_HEAD="+head); err != nil || strings.Contains(out, "set but empty") {
		t.Errorf("with the head %q in the unit's environment: %v\n%s", head, err, out)
	}
	whole := readFile(t, file)
	lines := strings.SplitAfter(strings.TrimSuffix(whole, "\n"), "\n")
	for content, fault := range map[string]string{strings.Join(lines[:len(lines)-1], ""): "tail cut", whole: ""} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := verify(log); (err == nil) != (fault == "") || !strings.Contains(out, fault) {
			t.Errorf("want the fault %q: %v\n%s", fault, err, out)
		}
	}
	for _, file := range append(rotatedFiles(t, file), file) {
		changed := strings.ReplaceAll(readFile(t, file), `"token.issue"`, `"token.verify"`)
		if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := verify(log); err == nil || !strings.Contains(out, "edited") {
		t.Errorf("of a changed record: %v\n%s", err, out)
	}
}
