package reader

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

// TestNameOfTheLog: what rotation adds to a name goes, and nothing else does.
func TestNameOfTheLog(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"d/audit.jsonl":                               "d/audit.jsonl",
		"d/audit-20261123T070809.123456Z.jsonl":       "d/audit.jsonl",
		"d/audit-20261123T070809.123456Z.jsonl.gz":    "d/audit.jsonl",
		"d/audit-20261123T070809.123456Z":             "d/audit",
		"audit.jsonl.1":                               "audit.jsonl",
		"audit.jsonl.14.gz":                           "audit.jsonl",
		"audit.jsonl-20261123":                        "audit.jsonl",
		"audit.jsonl-20261123.gz":                     "audit.jsonl",
		"audit.jsonl-20261123-07":                     "audit.jsonl",
		"0.log.20261123-070809.gz":                    "0.log",
		"0.log":                                       "0.log",
		"1.log":                                       "1.log",
		"audit-web-0.jsonl":                           "audit-web-0.jsonl",
		"audit-web-1":                                 "audit-web-1",
		"audit-10.0.0.12.jsonl":                       "audit-10.0.0.12.jsonl",
		"audit-2026.jsonl":                            "audit-2026.jsonl",
		"audit-web-0-20261123T070809.123456Z.jsonl":   "audit-web-0.jsonl",
		"20261123/audit.jsonl":                        "20261123/audit.jsonl",
		"d-20261123T070809.123456Z.x/audit.jsonl":     "d-20261123T070809.123456Z.x/audit.jsonl",
		"a\nudit-20261123T070809.123456Z.jsonl":       "a\nudit.jsonl",
		"\xff\u202eaudit-20261123T070809.000000Z.log": "\xff\u202eaudit.log",
	} {
		if got := logOf(path); got != want {
			t.Errorf("%q belongs to %q, want %q", path, got, want)
		}
	}
}

// trail is a chain, cut into files of a record each.
type trail struct {
	keys  []*audit.Key
	parts [][]byte // number 1 first
}

func newTrail(t *testing.T, instance string, n int) trail {
	t.Helper()
	o := testOptions(t)
	o.Instance = instance
	return trail{o.Keys, slices.Collect(bytes.Lines(wholeFile(t, o, n)))}
}

func zipped(t *testing.T, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// write makes the files of a directory.
func write(t *testing.T, directory string, files map[string][]byte) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(directory, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLogs finds the audit files in a directory, in their order, and says what it leaves out. Each
// log that it finds is whole.
func TestLogs(t *testing.T) {
	t.Parallel()
	a, b := newTrail(t, "pod-a", 3), newTrail(t, "pod-b", 1)
	program := []byte(`{"time":"2026-11-23T07:08:09Z","level":"INFO","msg":"audit head","head":"3:68","key_id":"00"}` + "\n")
	longPreface := bytes.Repeat(program, lookLines/2)
	damaged := bytes.Replace(a.parts[0], []byte("pod-a"), []byte("pod-x"), 1)
	damaged[len(damaged)-5] = '\x9b'
	const stamp1, stamp2, stamp3 = "-20261123T070809.123456Z", "-20261123T070810.000000Z", "-20261124T000000.000000Z"
	for name, test := range map[string]struct {
		files map[string][]byte
		args  []string // in the directory; none: the directory itself
		want  string   // files, blanks between, logs with | between
		left  string   // names and reasons
		whole bool
	}{
		"one file": {files: map[string][]byte{"audit.jsonl": slices.Concat(a.parts...)}, want: "audit.jsonl", whole: true},
		"rotated by serve": {
			files: map[string][]byte{
				"audit.jsonl": a.parts[3], "audit" + stamp1 + ".jsonl": a.parts[0],
				"audit" + stamp2 + ".jsonl.gz": zipped(t, a.parts[1]), "audit" + stamp3 + ".jsonl": a.parts[2],
			},
			want:  "audit" + stamp1 + ".jsonl audit" + stamp2 + ".jsonl.gz audit" + stamp3 + ".jsonl audit.jsonl",
			whole: true,
		},
		"logrotate numbers the other way round": {
			files: map[string][]byte{
				"audit.jsonl": a.parts[3], "audit.jsonl.1": a.parts[2],
				"audit.jsonl.2.gz": zipped(t, a.parts[1]), "audit.jsonl.10.gz": zipped(t, a.parts[0]),
			},
			want: "audit.jsonl.10.gz audit.jsonl.2.gz audit.jsonl.1 audit.jsonl", whole: true,
		},
		"several instances": {
			files: map[string][]byte{
				"audit-pod-b.jsonl": b.parts[1], "audit-pod-b" + stamp1 + ".jsonl": b.parts[0],
				"audit-pod-a.jsonl": slices.Concat(a.parts...),
			},
			want: "audit-pod-a.jsonl|audit-pod-b" + stamp1 + ".jsonl audit-pod-b.jsonl", whole: true,
		},
		"logs of a container": {
			files: map[string][]byte{
				"0.log": asContainerLog(a.parts[3]), "0.log.20261123-070809": asContainerLog(slices.Concat(a.parts[:2]...)),
				"0.log.20261123-080809.gz": zipped(t, asContainerLog(a.parts[2])),
			},
			want: "0.log.20261123-070809 0.log.20261123-080809.gz 0.log", whole: true,
		},
		"others between": {
			files: map[string][]byte{
				"audit.jsonl": slices.Concat(a.parts...), "serve.log": program, "notes": []byte("audit me\n"),
				"audit.jsonl.lock": nil, "sub/audit.jsonl": b.parts[0], "zeros": make([]byte, longestLine+bufferSize),
				"audit.jsonl.torn" + stamp1: a.parts[1][:40], "audit.jsonl.altered" + stamp1: a.parts[1],
				"audit.jsonl.untrusted" + stamp1: a.parts[1], ".hidden.gz": zipped(t, program),
			},
			want: "audit.jsonl", whole: true,
			left: ".hidden.gz: no audit records in it; audit.jsonl.altered" + stamp1 + ": put aside by serve: changed by somebody else; " +
				"audit.jsonl.torn" + stamp1 + ": put aside by serve: a torn record; " +
				"audit.jsonl.untrusted" + stamp1 + ": put aside by serve: its last record was not believed; notes: no audit records in it; " +
				"serve.log: no audit records in it; sub: a directory; zeros: no audit records in it",
		},
		"a changed first record is an audit file": {
			files: map[string][]byte{"audit.jsonl": damaged, "other.jsonl": slices.Concat(a.parts...)},
			want:  "audit.jsonl|other.jsonl",
		},
		"a broken gzip may be one": {
			files: map[string][]byte{"audit.jsonl.1.gz": zipped(t, a.parts[0])[:20], "audit.jsonl": slices.Concat(a.parts...)},
			want:  "audit.jsonl audit.jsonl.1.gz",
		},
		"a file that has just begun comes last": {
			files: map[string][]byte{
				"audit.jsonl": nil, "audit.jsonl.lock": nil, "audit" + stamp1 + ".jsonl": slices.Concat(a.parts...), "b.jsonl": nil,
				"c.jsonl.lock": nil,
			},
			want: "audit" + stamp1 + ".jsonl audit.jsonl", left: "b.jsonl: empty; c.jsonl.lock: empty", whole: true,
		},
		"a record behind many other lines": {
			files: map[string][]byte{"kubectl.log": slices.Concat(append([][]byte{longPreface}, a.parts...)...)},
			want:  "kubectl.log", whole: true,
		},
		"a pattern": {
			files: map[string][]byte{"a.jsonl": slices.Concat(a.parts...), "b.jsonl": slices.Concat(b.parts...), "c.txt": program, "d.txt": nil},
			args:  []string{"[ac].*"}, want: "a.jsonl", left: "c.txt: no audit records in it", whole: true,
		},
		"a pattern of directories": {
			files: map[string][]byte{"pod-1/x/0.log": slices.Concat(a.parts...), "pod-2/x/0.log": slices.Concat(b.parts...), "pod-2/y/0.log": b.parts[0]},
			args:  []string{"*/x"}, want: "pod-1/x/0.log|pod-2/x/0.log", whole: true,
		},
		"two patterns with one file in both": {
			files: map[string][]byte{"a.jsonl": slices.Concat(a.parts...)}, args: []string{"*.jsonl", "a*"}, want: "a.jsonl",
			left: "a.jsonl: the same file as a.jsonl", whole: true,
		},
		"a file whose name is a pattern": {
			files: map[string][]byte{"[a].jsonl": slices.Concat(a.parts...), "a.jsonl": b.parts[0]}, args: []string{"[a].jsonl"},
			want: "[a].jsonl", whole: true,
		},
		"files as they are given": {
			files: map[string][]byte{"2": a.parts[0], "1": slices.Concat(a.parts[1:]...)}, args: []string{"2", "1"}, want: "2 1", whole: true,
		},
		"a file that is given is read, whatever is in it": {
			files: map[string][]byte{"x": program, "y": slices.Concat(a.parts...)}, args: []string{"x", "y"}, want: "x y", whole: true,
		},
		"files, and a directory": {
			files: map[string][]byte{"x": slices.Concat(a.parts...), "d/x": slices.Concat(b.parts...)}, args: []string{"d", "x"},
			want: "x|d/x", whole: true,
		},
		"names of any bytes": {
			files: map[string][]byte{"\x1b[2J\u202e\xff.jsonl": slices.Concat(a.parts...)}, want: "\x1b[2J\u202e\xff.jsonl", whole: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			directory := t.TempDir()
			write(t, directory, test.files)
			args := []string{directory}
			if len(test.args) > 0 {
				args = nil
			}
			for _, arg := range test.args {
				args = append(args, filepath.Join(directory, arg))
			}
			logs, leftOut, err := Logs(t.Context(), args...)
			if err != nil {
				t.Fatal(err)
			}
			short := strings.NewReplacer(directory+"/", "")
			var got, left []string
			for _, log := range logs {
				got = append(got, namesOf(log.Sources))
				if !test.whole {
					continue
				}
				if r := mustVerify(t, VerifyOptions{Keys: a.keys}, log.Sources...); r.Fault != nil {
					t.Errorf("%s: %v", log.Name, r)
				}
			}
			for _, l := range leftOut {
				left = append(left, l.Name+": "+l.Reason)
			}
			if got := short.Replace(strings.Join(got, "|")); got != test.want {
				t.Errorf("found %q, want %q", got, test.want)
			}
			if left := short.Replace(strings.Join(left, "; ")); left != test.left {
				t.Errorf("left out %q, want %q", left, test.left)
			}
		})
	}
}

func namesOf(sources []Source) string {
	var names []string
	for _, source := range sources {
		names = append(names, source.Name)
	}
	return strings.Join(names, " ")
}

// TestEvidenceIsNamedWithItsLog: what serve put aside belongs to the log that it was part of, also
// when that had been rotated; to the first log if its own is gone. A torn record is no evidence.
func TestEvidenceIsNamedWithItsLog(t *testing.T) {
	t.Parallel()
	directory, a := t.TempDir(), newTrail(t, "pod-a", 1)
	const stamp, stamp2 = "-20261123T070809.123456Z", "-20261124T000000.000000Z"
	write(t, directory, map[string][]byte{
		"a.jsonl": a.parts[0], "b.jsonl": a.parts[1],
		"a.jsonl.altered" + stamp: nil, "b.jsonl.torn" + stamp: nil,
		"b" + stamp + ".jsonl.untrusted" + stamp2: nil, "gone.jsonl.untrusted" + stamp: nil,
	})
	logs, leftOut, err := Logs(t.Context(), directory)
	if err != nil || len(logs) != 2 || len(leftOut) != 4 {
		t.Fatalf("%v, %v, %v", logs, leftOut, err)
	}
	for i, want := range []string{
		"a.jsonl.altered" + stamp + " gone.jsonl.untrusted" + stamp, "b" + stamp + ".jsonl.untrusted" + stamp2,
	} {
		if got := strings.ReplaceAll(strings.Join(logs[i].Aside, " "), directory+"/", ""); got != want {
			t.Errorf("%s: %q, want %q", logs[i].Name, got, want)
		}
	}
}

// TestOrderOfFilesThatBeginTogether: calls that run together are recorded as they end, so a file
// may begin with a call that came in before the first one of the file before it.
func TestOrderOfFilesThatBeginTogether(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	file := func(name string, after time.Duration, seq uint64) foundFile {
		return foundFile{path: name, log: "audit.jsonl", time: string(audit.AppendTime(nil, noon.Add(after))), seq: seq}
	}
	for name, test := range map[string]struct {
		files []foundFile
		want  string
	}{
		"as they come":         {[]foundFile{file("b", time.Second, 9), file("a", 0, 1)}, "a b"},
		"a late call":          {[]foundFile{file("a", time.Second, 5), file("b", 0, 9)}, "a b"},
		"three of them":        {[]foundFile{file("c", 0, 30), file("b", time.Second, 20), file("a", 2*time.Second, 10)}, "a b c"},
		"a new chain":          {[]foundFile{file("b", time.Second, 1), file("a", 0, 9)}, "a b"},
		"in a new chain":       {[]foundFile{file("c", time.Hour, 3), file("b", time.Minute, 1), file("a", 0, 9)}, "a b c"},
		"chains of containers": {[]foundFile{file("b", time.Hour, 101), file("c", 2*time.Hour, 31), file("a", 0, 1)}, "a b c"},
	} {
		f := logFinder{found: test.files}
		var got []string
		for _, log := range f.logs() {
			got = append(got, namesOf(log.Sources))
		}
		if got := strings.Join(got, "|"); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

// TestLogsThatAreNotThere says what is wrong, and never that nothing is.
func TestLogsThatAreNotThere(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	write(t, directory, map[string][]byte{"notes": []byte("x\n"), "empty/notes": nil})
	for arg, want := range map[string]string{
		"":           "there are no audit files in " + directory,
		"empty":      "there are no audit files in ",
		"none":       "no such file or directory",
		"none.*":     "no file has a name like that",
		"no[.jsonl":  "syntax error in pattern",
		"note?":      "there are no audit files in ",
		"notes/none": "not a directory",
	} {
		logs, _, err := Logs(t.Context(), filepath.Join(directory, arg))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Count(err.Error(), directory) != 1 {
			t.Errorf("%q: %v, %v, want %q", arg, logs, err, want)
		}
	}
}

// TestAFileThatIsRotatedMeanwhile is an error: its records would be missing.
func TestAFileThatIsRotatedMeanwhile(t *testing.T) {
	t.Parallel()
	directory, a := t.TempDir(), newTrail(t, "pod-a", 1)
	path := filepath.Join(directory, "audit.jsonl")
	write(t, directory, map[string][]byte{"audit.jsonl": a.parts[0]})
	logs, _, err := Logs(t.Context(), directory)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	write(t, directory, map[string][]byte{"audit.jsonl": a.parts[1]})
	_, err = Verify(t.Context(), logs[0].Sources, VerifyOptions{Keys: a.keys})
	if source := new(SourceError); !errors.Is(err, errRotated) || !errors.As(err, &source) {
		t.Errorf("%v", err)
	}
}

// TestWhatIsNoFileIsNotOpened: a link to nothing, a link to a file that is there too, a directory.
func TestWhatIsNoFileIsNotOpened(t *testing.T) {
	t.Parallel()
	directory, a := t.TempDir(), newTrail(t, "pod-a", 1)
	write(t, directory, map[string][]byte{"audit.jsonl": slices.Concat(a.parts...)})
	for name, to := range map[string]string{"link": "audit.jsonl", "nothing": "none", "up": ".."} {
		if err := os.Symlink(to, filepath.Join(directory, name)); err != nil {
			t.Fatal(err)
		}
	}
	logs, leftOut, err := Logs(t.Context(), directory)
	if err != nil || len(logs) != 1 || len(logs[0].Sources) != 1 || len(leftOut) != 3 {
		t.Fatalf("%v, %v, %v", logs, leftOut, err)
	}
	if said := fmt.Sprint(leftOut); !strings.Contains(said, "the same file as ") || !strings.Contains(said, "a link to nothing") {
		t.Error(said)
	}
}
