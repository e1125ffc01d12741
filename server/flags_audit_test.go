package main

import (
	"encoding/base64"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
)

func recordsVerifyUnderTheKey(t *testing.T) {
	t.Parallel()
	keyOf := func(letter string) string {
		return writeFile(t, base64.StdEncoding.EncodeToString([]byte(strings.Repeat(letter, 32)))+"\n")
	}
	key, file := keyOf("a"), filepath.Join(t.TempDir(), "audit.jsonl")
	p := start(t, withSecret("--audit-file", file, "--audit-key-file", key))
	p.mustIssue(t)
	p.stop(t)
	if code, stdout, stderr := command(t, nil, "", "audit", "verify", "--audit-key-file", key, file); code != 0 {
		t.Errorf("code %d: %s%s", code, stdout, stderr)
	}
	if code, stdout, _ := command(t, nil, "", "audit", "verify", "--audit-key-file", keyOf("b"), file); code != 1 {
		t.Errorf("under another key: code %d: %s", code, stdout)
	}
}

// Two processes on one host have the same host name: each gets its own.
func twoInstancesOnOneHost(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	for _, name := range []string{"one", "two"} {
		start(t, withSecret("--audit-file", filepath.Join(directory, "{instance}.jsonl"), "--instance", name)).mustIssue(t)
		text, err := os.ReadFile(filepath.Join(directory, name+".jsonl"))
		if err != nil || !strings.Contains(string(text), `"event":"token.issue"`) {
			t.Fatalf("%s: %v: %s", name, err, text)
		}
		for line := range strings.Lines(string(text)) {
			if !strings.Contains(line, `"instance":"`+name+`"`) {
				t.Errorf("a record of another instance: %s", line)
			}
		}
	}
}

func bestEffortNeedsNoRecord(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	needs(t, "/dev/full", err == nil)
	t.Cleanup(func() { full.Close() })
	s := withSecret("--audit-mode", "best-effort")
	s.stdout = full
	start(t, s).mustIssue(t)
}

// The kernel refuses the program every fdatasync: with --audit-sync on there is no token.
func aDiskThatCannotSync(t *testing.T) {
	t.Parallel()
	needs(t, "seccomp", canForbidSync)
	for sync, want := range map[string]string{"on": "AUDIT_UNAVAILABLE", "off": ""} {
		t.Run(sync, func(t *testing.T) {
			t.Parallel()
			s := withSecret("--audit-sync", sync, "--audit-file", filepath.Join(t.TempDir(), "audit.jsonl"))
			s.wrap = []string{programWithoutSync}
			p := start(t, s)
			if _, err := p.issue(t, issueFor("user_id", "")); reason(err) != want {
				t.Errorf("error %v, want %q", err, want)
			}
		})
	}
}

// Nobody reads standard output. The error names the timeout that has passed.
func callsWaitForTheirRecordSoLong(t *testing.T) {
	t.Parallel()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	defer writer.Close()
	s := withSecret(append(unlimited, "--audit-timeout", "77ms", "--log-level", "debug")...)
	s.stdout = writer
	p := start(t, s)
	client := p.client(t)
	eventually(t, "full pipe", func() bool {
		_, err := client.IssueToken(t.Context(), issueFor("user_id", ""))
		return reason(err) == "AUDIT_UNAVAILABLE"
	})
	eventually(t, "line with the timeout", func() bool {
		return strings.Contains(p.stderr.String(), "not durable within 77ms")
	})
}

func aFullFileIsRotated(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	s := withSecret(append(unlimited, "--audit-file", file, "--audit-sync", "off", "--audit-max-size", "1MiB")...)
	p := start(t, s)
	var failed atomic.Int64
	stop := load(t, p, 4, func(_ *pb.IssueTokenResponse, err error) {
		if err != nil {
			failed.Add(1)
		}
	})
	defer stop()
	eventually(t, "rotated file", func() bool {
		files, err := filepath.Glob(filepath.Join(filepath.Dir(file), "audit-*.jsonl"))
		return err == nil && len(files) > 0
	})
	if n := failed.Load(); n > 0 {
		t.Errorf("%d calls failed", n)
	}
}

// A log agent in the file's group may read the records, the rotated ones too.
func theAuditFileHasTheMode(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	p := start(t, withSecret("--audit-file", file, "--audit-file-mode", "0640"))
	p.mustIssue(t)
	hangUp(t, p)
	eventually(t, "rotated file", func() bool { return len(rotatedFiles(t, file)) == 1 })
	p.mustIssue(t)
	for _, path := range append(rotatedFiles(t, file), file) {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
			t.Errorf("%s has the mode %v, %v", path, info.Mode(), err)
		}
	}
}

// Of many rotated files two are left, and the log says after which record they begin.
func theOldestFilesAreDeleted(t *testing.T) {
	t.Parallel()
	key := writeFile(t, auditKey())
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	p := start(t, withSecret(append(unlimited, "--audit-file", file, "--audit-key-file", key, "--audit-max-files", "2")...))
	for i := range 5 {
		p.mustIssue(t)
		hangUp(t, p)
		eventually(t, "rotation", func() bool {
			return strings.Count(p.stderr.String(), `"event":"audit_rotated"`) == i+1
		})
	}
	p.mustIssue(t)
	if got := p.metric(t, "chatidentity_audit_deleted_files_total"); got != 3 {
		t.Errorf("%v deleted files are counted", got)
	}
	p.stop(t)
	left := rotatedFiles(t, file)
	if len(left) != 2 {
		t.Fatalf("left are %q", left)
	}
	said := p.stderr.String()
	_, rest, _ := strings.Cut(said[strings.LastIndex(said, `"event":"audit_file_deleted"`):], `"from_head":"`)
	head, _, _ := strings.Cut(rest, `"`)
	args := append([]string{"audit", "verify", "--audit-key-file", key, "--from-head", head}, append(left, file)...)
	if code, stdout, stderr := command(t, nil, "", args...); code != 0 {
		t.Errorf("what is left does not verify: %d: %s%s", code, stdout, stderr)
	}
}

// Nobody reads standard output, so the pipe fills up and then the queue of the copy. Tokens go on, and
// once somebody reads, the log and the trail tell what is missing.
func theCopyHoldsUpNobody(t *testing.T) {
	t.Parallel()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	defer writer.Close()
	key, file := writeFile(t, auditKey()), filepath.Join(t.TempDir(), "audit.jsonl")
	s := withSecret(append(unlimited, "--audit-file", file, "--audit-key-file", key, "--audit-sync", "off",
		"--audit-timeout", "30s", "--audit-copy", "-")...)
	s.stdout = writer
	p := start(t, s)
	var failed atomic.Int64
	stop := load(t, p, 4, func(_ *pb.IssueTokenResponse, err error) {
		if err != nil {
			failed.Add(1)
		}
	})
	eventually(t, "gap in the copy", func() bool {
		return p.metric(t, "chatidentity_audit_copy_dropped_records_total") > 0
	})
	stop()
	if n := failed.Load(); n > 0 {
		t.Errorf("%d calls failed", n)
	}
	copied := make(chan int64, 1)
	go func() {
		n, _ := io.Copy(io.Discard, reader)
		copied <- n
	}()
	eventually(t, "end of the gap", func() bool {
		return strings.Contains(p.stderr.String(), `"part":"audit_copy","event":"outage_ended"`)
	})
	eventually(t, "record of the gap", func() bool {
		text, err := os.ReadFile(file)
		return err == nil && strings.Contains(string(text), `"event":"copy.gap"`)
	})
	p.stop(t)
	writer.Close()
	if info, err := os.Stat(file); err != nil || <-copied >= info.Size() {
		t.Errorf("the copy lacks nothing: %v", err)
	}
	if code, stdout, stderr := command(t, nil, "", "audit", "verify", "--audit-key-file", key, file); code != 0 {
		t.Errorf("the file: %d: %s%s", code, stdout, stderr)
	}
}

func hangUp(t *testing.T, p *running) {
	t.Helper()
	if err := p.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

// rotatedFiles returns those of an audit file, the oldest first.
func rotatedFiles(t *testing.T, file string) []string {
	t.Helper()
	files, err := filepath.Glob(strings.TrimSuffix(file, ".jsonl") + "-*.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func aFullDiskIsLogged(t *testing.T) {
	t.Parallel()
	p := start(t, withSecret("--audit-min-free", "1000000GiB", "--audit-file", filepath.Join(t.TempDir(), "audit.jsonl")))
	eventually(t, "warning", func() bool {
		return strings.Contains(p.stderr.String(), "the disk of the audit file is nearly full")
	})
}
