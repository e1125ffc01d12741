package writer

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

// listing is what a directory holds.
func listing(t *testing.T, directory string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(directory)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, entry := range entries {
		all[entry.Name()] = entry.Type().String()
		if entry.Type().IsRegular() {
			text, err := os.ReadFile(filepath.Join(directory, entry.Name()))
			if err != nil {
				t.Fatal(err)
			}
			all[entry.Name()] = string(text)
		}
	}
	return all
}

// TestInspectAgreesWithOpen: it returns the error of Open, or where Open goes on, and leaves the
// directory as it is.
func TestInspectAgreesWithOpen(t *testing.T) {
	t.Parallel()
	write := func(text string) func(*testing.T, *Options) {
		return func(t *testing.T, o *Options) {
			t.Helper()
			if err := os.WriteFile(o.File, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, test := range map[string]struct {
		prepare func(*testing.T, *Options)
		head    uint64
		torn    int64
		err     string
	}{
		"no file yet":    {prepare: func(*testing.T, *Options) {}},
		"an empty file":  {prepare: write("")},
		"records":        {prepare: func(t *testing.T, o *Options) { runOnce(t, *o, "a") }, head: 2},
		"a torn line":    {prepare: func(t *testing.T, o *Options) { runOnce(t, *o, "a"); appendTo(t, o.File, `{"v":1,`) }, head: 2, torn: 7},
		"a torn start":   {prepare: write(`{"v":1,"se`), torn: 10},
		"a rotated file": {prepare: rotateOnce, head: 2},
		"no lock file": {prepare: func(t *testing.T, o *Options) {
			runOnce(t, *o, "a")
			if _, err := os.Stat(lockPath(o.File)); err == nil {
				t.Error("a clean stop leaves the lock file")
			}
		}, head: 2},
		"a lock file of the dead": {prepare: func(t *testing.T, o *Options) {
			runOnce(t, *o, "a")
			mustDo(t, os.WriteFile(lockPath(o.File), nil, 0o600))
		}, head: 2},
		"no directory":     {prepare: func(_ *testing.T, o *Options) { o.File += "/no/audit.jsonl" }, err: "no such file or directory"},
		"a directory":      {prepare: func(_ *testing.T, o *Options) { o.File = filepath.Dir(o.File) }, err: "not a regular file"},
		"a pipe":           {prepare: func(t *testing.T, o *Options) { mustDo(t, syscall.Mkfifo(o.File, 0o600)) }, err: "not a regular file"},
		"other content":    {prepare: write("root:x:0:0\n"), err: "not an audit file"},
		"a lock of others": {prepare: func(t *testing.T, o *Options) { mustWrite(t, mustOpen(t, *o), "a") }, err: "in use by another process"},
		"a file of others": {prepare: func(t *testing.T, o *Options) {
			mustWrite(t, mustOpen(t, *o), "a")
			mustDo(t, os.Remove(lockPath(o.File)))
		}, err: "in use by another process"},
		"an unknown mode":     {prepare: func(_ *testing.T, o *Options) { o.Mode = "lenient" }, err: `mode "lenient"`},
		"an instance as path": {prepare: func(_ *testing.T, o *Options) { o.File, o.Instance = "{instance}", "../x" }, err: "cannot be part of a path"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := testOptions(t)
			directory := filepath.Dir(o.File)
			test.prepare(t, &o)
			before := listing(t, directory)
			in, err := Inspect(o)
			if after := listing(t, directory); !maps.Equal(before, after) {
				t.Errorf("it left %v, of %v", after, before)
			}
			l, openErr := Open(o)
			if fmt.Sprint(err) != fmt.Sprint(openErr) || err != nil && test.err == "" || !strings.Contains(fmt.Sprint(err), test.err) {
				t.Fatalf("Inspect = %v, Open = %v, want %q", err, openErr, test.err)
			}
			if openErr != nil {
				return
			}
			mustClose(t, l)
			lines := readLines(t, o.File)
			if got := lines[len(lines)-1].Seq - 1; got != test.head || in.Head.Seq != test.head || in.Torn != test.torn {
				t.Errorf("Open goes on after %d; Inspect found %+v, want %d and %d torn", got, in, test.head, test.torn)
			}
			if in.Path != o.File || in.WriteErr != nil || in.Took <= 0 || in.Free <= 0 || in.Device {
				t.Errorf("found %+v", in)
			}
		})
	}
}

func mustDo(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	mustDo(t, err)
	_, err = f.WriteString(text)
	mustDo(t, errors.Join(err, f.Close()))
}

func rotateOnce(t *testing.T, o *Options) {
	t.Helper()
	l := mustOpen(t, *o)
	mustWrite(t, l, "a")
	mustDo(t, l.Rotate(t.Context()))
	mustClose(t, l)
}

func TestInspectOfWhatIsNoFile(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	o.File = os.DevNull
	if in, err := Inspect(o); err != nil || in != (Inspection{Path: os.DevNull, Device: true}) {
		t.Errorf("a device: %+v, %v", in, err)
	}
	o.File = Standard
	if in, err := Inspect(o); err != nil || in != (Inspection{}) {
		t.Errorf("standard output: %+v, %v", in, err)
	}
}

func TestInspectSaysWhatIsFree(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	o.disk = stubDisk{space: func() int64 { return 42 }}
	if in, err := Inspect(o); err != nil || in.Free != 42 || in.Head != (audit.Head{}) {
		t.Errorf("%+v, %v", in, err)
	}
}
