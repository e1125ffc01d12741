package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// Records are cut off while the sidecar is stopped, and it starts again and goes on. The heads of
// that start are in order, and those of the start before are not: the program log has both.
func TestACutBeforeAStartIsFound(t *testing.T) {
	t.Parallel()
	key, file := writeFile(t, auditKey()), filepath.Join(t.TempDir(), "audit.jsonl")
	run := func() string {
		p := start(t, withSecret(append(unlimited, "--audit-file", file, "--audit-key-file", key)...))
		for range 3 {
			p.mustIssue(t)
		}
		p.stop(t)
		return p.stderr.String()
	}
	verify := func(log string, args ...string) (int, string) {
		code, out, said := command(t, nil, log, append([]string{"audit", "verify", "--audit-key-file", key, "--program-log", "-", file}, args...)...)
		return code, out + said
	}
	first := run()
	if code, said := verify(first); code != 0 || !strings.Contains(said, `"heads":1`) {
		t.Fatalf("whole: code %d: %s", code, said)
	}
	lines := strings.SplitAfter(readFile(t, file), "\n")
	put(t, file, strings.Join(lines[:2], ""))
	second := run()
	if code, said := verify(second); code != 0 {
		t.Errorf("by the log of the second start alone: code %d: %s", code, said)
	}
	if code, said := verify(first + second); code != 1 || !strings.Contains(said, `"fault":"tail cut"`) {
		t.Errorf("by the log of both starts: code %d: %s", code, said)
	}
	if code, said := verify(first, "-"); code != 2 || !strings.Contains(said, "--program-log: standard input") {
		t.Errorf("both on standard input: code %d: %s", code, said)
	}
	if code, said := verify(first+second, "--program-log", file+".log"); code != 2 || !strings.Contains(said, "--program-log") {
		t.Errorf("without the log: code %d: %s", code, said)
	}
}
