package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// trailOf is a sidecar's audit file alone in its directory, and the key beside the directory.
func trailOf(t *testing.T) (setup, string, string) {
	t.Helper()
	key, file := filepath.Join(t.TempDir(), "key"), filepath.Join(t.TempDir(), "audit.jsonl")
	if err := os.WriteFile(key, []byte(base64.StdEncoding.EncodeToString(make([]byte, 32))+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return withSecret("--audit-file", file, "--audit-key-file", key), file, key
}

// verified wants an exit code of audit verify, and texts in what it prints.
func verified(t *testing.T, key string, code int, output string, files []string, want ...string) {
	t.Helper()
	args := append([]string{"audit", "verify", "--audit-key-file", key, "--output", output}, files...)
	got, stdout, stderr := command(t, nil, "", args...)
	if got != code {
		t.Errorf("%v: code %d, want %d: %s%s", args, got, code, stdout, stderr)
	}
	for _, text := range want {
		if !strings.Contains(stdout, text) {
			t.Errorf("%v: %q is not in %s", args, text, stdout)
		}
	}
}

// onlyMatch is the one file that a pattern matches.
func onlyMatch(t *testing.T, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) != 1 {
		t.Fatalf("%s: %v, %v", pattern, files, err)
	}
	return files[0]
}

// TestVerifyReportsWhatAStartPutAside: somebody edits the last record while the sidecar is stopped,
// so the next start begins a new chain. That chain is whole, but verify does not accept the
// directory until somebody has moved the old file elsewhere. A torn record, which a crash leaves,
// changes nothing.
func TestVerifyReportsWhatAStartPutAside(t *testing.T) {
	t.Parallel()
	started, file, key := trailOf(t)
	directory := filepath.Dir(file)
	p := start(t, started)
	p.mustIssue(t)
	p.stop(t)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	last := bytes.LastIndex(text, []byte(`"caller":"loopback"`))
	text[last+len(`"caller":"`)] = 'L'
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	p = start(t, started)
	p.mustIssue(t)
	if n := p.metric(t, "chatidentity_audit_file_replacements_total"); n != 1 {
		t.Errorf("%v replacements are counted, want 1", n)
	}
	p.stop(t)

	aside := onlyMatch(t, file+".untrusted-*")
	verified(t, key, 1, "json", []string{directory}, `"ok":false`, `"put_aside":["`+aside+`"]`, "look at it, then move it elsewhere")
	verified(t, key, 1, "text", []string{directory}, "2 records whole", aside+": serve put it aside", "look at it, then move it elsewhere")
	verified(t, key, 1, "json", []string{file + "*"}, `"put_aside":["`+aside+`"]`)
	verified(t, key, 0, "json", []string{file}, `"ok":true`)
	verified(t, key, 1, "json", []string{aside}, `"fault":"edited"`)
	if err := os.Rename(aside, strings.Replace(aside, ".untrusted-", ".torn-", 1)); err != nil {
		t.Fatal(err)
	}
	verified(t, key, 0, "json", []string{directory}, `"ok":true`)
}

// TestVerifySaysWhereMissingRecordsMayBe: somebody adds a line to the file of a running sidecar, so
// the chain goes on in a new file. Given by name, both files are one whole log.
func TestVerifySaysWhereMissingRecordsMayBe(t *testing.T) {
	t.Parallel()
	started, file, key := trailOf(t)
	p := start(t, started)
	p.mustIssue(t)
	added, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := added.WriteString("note\n"); err != nil {
		t.Fatal(err)
	}
	if err := added.Close(); err != nil {
		t.Fatal(err)
	}
	p.mustIssue(t)
	p.stop(t)

	aside, directory := onlyMatch(t, file+".altered-*"), filepath.Dir(file)
	where := "records may be in " + aside + ": give it by name, before the current file"
	verified(t, key, 1, "json", []string{directory}, `"fault":"missing"`, where, `"put_aside":["`+aside+`"]`)
	verified(t, key, 1, "text", []string{directory}, "missing: ", where, aside+": serve put it aside")
	verified(t, key, 0, "json", []string{aside, file}, `"ok":true`, `"chains":1`)
}

// TestVerifyOfFilesThatWereMoved: two rotated files go to an archive, the oldest first, and what is
// left follows the archive's last head.
func TestVerifyOfFilesThatWereMoved(t *testing.T) {
	t.Parallel()
	started, file, key := trailOf(t)
	p := start(t, started)
	for n := 1; n <= 3; n++ {
		p.mustIssue(t)
		hangUp(t, p)
		eventually(t, "rotated file", func() bool { return len(rotatedFiles(t, file)) == n })
	}
	p.mustIssue(t)
	p.stop(t)

	directory, archive := filepath.Dir(file), t.TempDir()
	for _, moved := range rotatedFiles(t, file)[:2] {
		if err := os.Rename(moved, filepath.Join(archive, filepath.Base(moved))); err != nil {
			t.Fatal(err)
		}
	}
	verified(t, key, 1, "text", []string{directory}, "missing: ")
	_, stdout, _ := command(t, nil, "", "audit", "verify", "--audit-key-file", key, "--output", "json", archive)
	var whole struct{ Head string }
	if err := json.Unmarshal([]byte(stdout), &whole); err != nil || whole.Head == "" {
		t.Fatalf("%v, %s", err, stdout)
	}
	verified(t, key, 0, "json", []string{"--from-head", whole.Head, directory}, `"ok":true`, `"from_seq":4`)
}
