package writer

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

func TestTokenRecordIsInTheFileWhenWriteReturns(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	l := mustOpen(t, o)
	for _, digest := range []string{"aa", "bb", "cc"} {
		if err := l.Write(t.Context(), issued(digest)); err != nil {
			t.Fatal(err)
		}
		got := readLines(t, o.File)
		if last := got[len(got)-1].Text("token_sha256"); last != digest {
			t.Fatalf("last record is of token %q, want %q", last, digest)
		}
	}
}

func TestClosedLogRefuses(t *testing.T) {
	t.Parallel()
	o, _ := withBuffer(testOptions(t))
	l := mustOpen(t, o)
	mustClose(t, l)
	if err := l.Write(t.Context(), issued("aa")); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("Write after Close = %v, want ErrUnavailable", err)
	}
}

func TestEveryWaitingCallHasItsRecord(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	l := mustOpen(t, o)
	const callers, each = 64, 10
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range each {
				if err := l.Write(t.Context(), issued("aa")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	mustClose(t, l)
	got := readLines(t, o.File)
	if len(got) != 1+callers*each {
		t.Fatalf("%d records, want %d and the start", len(got), callers*each)
	}
	for i, r := range got {
		if r.Seq != uint64(i)+1 {
			t.Fatalf("record %d has seq %d", i, r.Seq)
		}
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	foreign := filepath.Join(dir, "passwd")
	if err := os.WriteFile(foreign, []byte("root:x:0:0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]Options{
		`mode "lenient"`:                 {Mode: "lenient"},
		"timeout -1ns":                   {Timeout: -1},
		dir + ": not a":                  {File: dir},
		"open " + dir + "/no/":           {File: dir + "/no/audit.jsonl"},
		foreign + ": not an audit file":  {File: foreign},
		"{instance}.jsonl: the instance": {File: "{instance}.jsonl", Instance: "../x"},
	} {
		o.Keys = []*audit.Key{testKey(t, "k")}
		_, err := Open(o)
		if err == nil || !strings.HasPrefix(err.Error(), name) {
			t.Errorf("Open = %v, want an error that begins with %q", err, name)
		}
	}
	if b, err := os.ReadFile(foreign); err != nil || string(b) != "root:x:0:0\n" {
		t.Errorf("somebody else's file was changed: %q, %v", b, err)
	}
}

func TestSecondProcessIsKeptOff(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	l := mustOpen(t, o)
	if _, err := Open(o); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Fatalf("second Open = %v", err)
	}
	mustClose(t, l)
	mustOpen(t, o)
}
