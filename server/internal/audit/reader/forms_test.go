package reader

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

// formRecords is how many records each file of testdata/forms holds.
const formRecords = 6

// TestForms verifies a file of each form whole, and then with one byte changed anywhere in its
// records: each change is found.
func TestForms(t *testing.T) {
	t.Parallel()
	directory := filepath.Join("testdata", "forms")
	text, err := os.ReadFile(filepath.Join(directory, "audit.key"))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := audit.ParseKeys(text)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(directory, "*.log"))
	if err != nil || len(files) != 15 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			r := mustVerify(t, VerifyOptions{Keys: keys}, inMemory("f", whole))
			if r.Fault != nil || r.Records != formRecords || r.Others == 0 {
				t.Fatalf("whole: %v", r)
			}
			assertChangesAreFound(t, whole, VerifyOptions{Keys: keys, Heads: []audit.Head{r.Head}})
		})
	}
}

// assertChangesAreFound changes every seventh byte of the records.
func assertChangesAreFound(t *testing.T, whole []byte, o VerifyOptions) {
	t.Helper()
	changed, at := 0, 0
	for line := range bytes.Lines(whole) {
		first, last := recordIn(line)
		for i := first + at%7; i < last; i += 7 {
			bad := bytes.Clone(whole)
			bad[at+i] ^= 1
			if r := mustVerify(t, o, inMemory("f", bad)); r.Fault == nil {
				t.Fatalf("byte %d of %q changed to %q: not found", i, line, bad[at+i])
			}
			changed++
		}
		at += len(line)
	}
	if changed < formRecords*50 {
		t.Errorf("only %d bytes were changed", changed)
	}
}

// recordIn is where the record in a line begins and ends; 0, 0 without one.
func recordIn(line []byte) (first, last int) {
	for start, end := range map[string]string{audit.RecordStart: `"}`, string(escapedStart): `\"}`} {
		if i := bytes.Index(line, []byte(start)); i >= 0 {
			return i, bytes.LastIndex(line, []byte(end)) + len(end)
		}
	}
	return 0, 0
}
