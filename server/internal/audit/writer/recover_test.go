package writer

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/audit/reader"
)

// runOnce opens a log, writes one token and closes it.
func runOnce(t *testing.T, o Options, digest string) {
	t.Helper()
	l := mustOpen(t, o)
	mustWrite(t, l, digest)
	mustClose(t, l)
}

// reasons lists why each process of a file began, with the record's number.
func reasons(t *testing.T, path string) []string {
	t.Helper()
	var got []string
	for _, l := range readLines(t, path) {
		if l.Text("event") == string(audit.EventStart) {
			got = append(got, fmt.Sprintf("%d %s", l.Seq, l.Text("reason")))
		}
	}
	return got
}

func TestChainGoesOnAfterARestart(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	runOnce(t, o, "a")
	runOnce(t, o, "b")
	k1 := o.Keys[0]
	o.Keys = []*audit.Key{testKey(t, "k2"), k1}
	runOnce(t, o, "c")
	if got, want := reasons(t, o.File), []string{"1 NEW_CHAIN", "3 RESTARTED", "5 KEY_CHANGED"}; !slices.Equal(got, want) {
		t.Fatalf("starts %v, want %v", got, want)
	}
	r := mustVerify(t, reader.VerifyOptions{Keys: o.Keys}, reader.Files(o.File)...)
	if r.Fault != nil || r.Records != 6 || r.Chains != 1 {
		t.Fatalf("with both keys: %v", r)
	}
	r = mustVerify(t, reader.VerifyOptions{Keys: []*audit.Key{k1}}, reader.Files(o.File)...)
	if r.Fault == nil || r.Fault.Kind != reader.FaultUnverifiable || r.Records != 4 {
		t.Fatalf("with the old key alone: %v", r)
	}
	// A start without a key breaks what can be verified, and says so; the next
	// one with the key is linked to it all the same.
	keys := o.Keys
	o.Keys = nil
	runOnce(t, o, "d")
	o.Keys = keys
	runOnce(t, o, "e")
	r = mustVerify(t, reader.VerifyOptions{Keys: keys, AllowUnverifiable: true}, reader.Files(o.File)...)
	if r.Fault != nil || r.Records != 10 || r.Unverifiable != 2 {
		t.Fatalf("with a start without key: %v", r)
	}
	b, _ := os.ReadFile(o.File)
	lines := slices.Collect(bytes.Lines(b))
	r = mustVerify(t, reader.VerifyOptions{Keys: keys, AllowUnverifiable: true}, inMemory("f", bytes.Join(slices.Concat(lines[:7], lines[8:]), nil)))
	if r.Fault == nil {
		t.Fatal("a record without key can be taken out unnoticed")
	}
}

func TestChainGoesOnFromTheLastRotatedFile(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	l := mustOpen(t, o)
	mustWrite(t, l, "a")
	if err := l.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustClose(t, l)
	if b, err := os.ReadFile(o.File); err != nil || len(b) != 0 {
		t.Fatalf("new file: %d bytes, %v", len(b), err)
	}
	runOnce(t, o, "b")
	files, _ := filepath.Glob(filepath.Join(filepath.Dir(o.File), "audit*.jsonl"))
	r := mustVerify(t, reader.VerifyOptions{Keys: o.Keys}, reader.Files(files...)...)
	if r.Fault != nil || r.Records != 4 || r.Chains != 1 || len(files) != 2 {
		t.Fatalf("%v over %v", r, files)
	}
}

func TestTornTailIsCutOffAndKept(t *testing.T) {
	t.Parallel()
	for name, tear := range map[string]func(b []byte) (left, torn []byte){
		"half a line":            func(b []byte) ([]byte, []byte) { return b[:len(b)-50], nil },
		"all but the newline":    func(b []byte) ([]byte, []byte) { return b[:len(b)-1], nil },
		"zeros after a crash":    func(b []byte) ([]byte, []byte) { return append(b, make([]byte, 70_000)...), make([]byte, 70_000) },
		"lines that are garbage": func(b []byte) ([]byte, []byte) { return append(b, "x\ny\n"...), []byte("x\ny\n") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := testOptions(t)
			for _, d := range []string{"a", "b"} {
				runOnce(t, o, d)
			}
			b, _ := os.ReadFile(o.File)
			left, torn := tear(bytes.Clone(b))
			if torn == nil {
				torn = left[bytes.LastIndexByte(left, '\n')+1:]
			}
			if err := os.WriteFile(o.File, left, 0o600); err != nil {
				t.Fatal(err)
			}
			runOnce(t, o, "c")
			if r := mustVerify(t, reader.VerifyOptions{Keys: o.Keys}, reader.Files(o.File)...); r.Fault != nil || r.Chains != 1 {
				t.Fatal(r)
			}
			kept, _ := filepath.Glob(o.File + ".torn-*")
			if len(kept) != 1 {
				t.Fatalf("kept: %v", kept)
			}
			if got, _ := os.ReadFile(kept[0]); !bytes.Equal(got, torn) {
				t.Fatalf("kept %d bytes, want %d", len(got), len(torn))
			}
		})
	}
}

func TestTornFirstLine(t *testing.T) {
	t.Parallel()
	for _, left := range []string{`{"v":1,"se`, `{"v":1,"seq":1,"time":"2026`, "\x00\x00\x00"} {
		o := testOptions(t)
		if err := os.WriteFile(o.File, []byte(left), 0o600); err != nil {
			t.Fatal(err)
		}
		runOnce(t, o, "a")
		if r := mustVerify(t, reader.VerifyOptions{Keys: o.Keys}, reader.Files(o.File)...); r.Fault != nil || r.Records != 2 {
			t.Fatalf("after %q: %v", left, r)
		}
	}
}

// TestEveryTear cuts a file at each byte of its last two lines.
func TestEveryTear(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	o.NoSync = true
	runOnce(t, o, "a")
	runOnce(t, o, "b")
	b, _ := os.ReadFile(o.File)
	lines := slices.Collect(bytes.Lines(b))
	for cut := len(b) - len(lines[3]) - len(lines[2]); cut <= len(b); cut += 7 {
		o.File = filepath.Join(t.TempDir(), "audit.jsonl")
		if err := os.WriteFile(o.File, b[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		runOnce(t, o, "c")
		if r := mustVerify(t, reader.VerifyOptions{Keys: o.Keys}, reader.Files(o.File)...); r.Fault != nil || r.Chains != 1 {
			t.Fatalf("cut at %d: %v", cut, r)
		}
	}
}

func TestRotationNeverOverwrites(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	now := stopClock(&o)
	l := mustOpen(t, o)
	want := make([]string, 0, 5)
	for i := range 5 { // all at the same microsecond
		digest := fmt.Sprint(i)
		mustWrite(t, l, digest)
		want = append(want, digest)
		if err := l.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	mustClose(t, l)
	files, _ := filepath.Glob(filepath.Join(filepath.Dir(o.File), "audit-*.jsonl"))
	var got []string
	for _, f := range files {
		for _, line := range readLines(t, f) {
			if d := line.Text("token_sha256"); d != "" {
				got = append(got, d)
			}
		}
	}
	if len(files) != 5 || !slices.Equal(got, want) {
		t.Fatalf("at %v: files %v, tokens %v", now, files, got)
	}
}

// TestLogrotate moves the file away before it asks for another one.
func TestLogrotate(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	l := mustOpen(t, o)
	mustWrite(t, l, "a")
	moved := filepath.Join(filepath.Dir(o.File), "moved.jsonl")
	if err := os.Rename(o.File, moved); err != nil {
		t.Fatal(err)
	}
	if err := l.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, l, "b")
	mustClose(t, l)
	r := mustVerify(t, reader.VerifyOptions{Keys: o.Keys}, reader.Files(moved, o.File)...)
	if r.Fault != nil || r.Records != 3 {
		t.Fatal(r)
	}
}

func TestFileIsTheOwnersAlone(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	runOnce(t, o, "a")
	info, err := os.Stat(o.File)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
}

func TestInstanceInThePath(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	dir := filepath.Dir(o.File)
	o.File = filepath.Join(dir, "audit-{instance}.jsonl")
	for _, pod := range []string{"pod-1", "pod-2"} {
		o.Instance = pod
		runOnce(t, o, "a")
		got := readLines(t, filepath.Join(dir, "audit-"+pod+".jsonl"))
		if got[0].Seq != 1 || got[0].Text("instance") != pod {
			t.Fatalf("%s: %s", pod, got[0].Raw)
		}
	}
}

func TestRotationThatFailsKeepsTheFile(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	o, ctl := withFaults(o)
	l := mustOpen(t, o)
	mustWrite(t, l, "a")
	cause := errors.New("no")
	ctl.set(func(f *faults) { f.syncErr = cause })
	if err := l.Rotate(t.Context()); !errors.Is(err, cause) {
		t.Fatalf("Rotate = %v", err)
	}
	ctl.set(func(f *faults) { f.syncErr = nil })
	mustWrite(t, l, "b")
	mustClose(t, l)
	if r := mustVerify(t, reader.VerifyOptions{Keys: o.Keys}, reader.Files(o.File)...); r.Fault != nil || r.Records != 3 {
		t.Fatal(r)
	}
	if strings.Contains(strings.Join(reasons(t, o.File), " "), "FILE_CHANGED") {
		t.Fatal("a failed rotation was taken for somebody else's change")
	}
}
