package writer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/audit/reader"
)

// rotations writes a record before each of n rotations, and one after the last.
func rotations(t *testing.T, l *Log, n int) {
	t.Helper()
	for i := range n {
		mustWrite(t, l, fmt.Sprint("before rotation ", i))
		mustDo(t, l.Rotate(t.Context()))
	}
	mustWrite(t, l, "last")
}

// The oldest rotated files are deleted after each rotation and at the start, never the open one.
// Each deletion is logged with the head after which the files that are left begin, and counted.
func TestOldestFilesAreDeleted(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ keep, earlier, rotations, left int }{
		{0, 0, 5, 5},
		{0, 5, 0, 5},
		{1, 0, 5, 1},
		{3, 0, 5, 3},
		{3, 0, 2, 2},
		{3, 5, 0, 3}, // at the start
		{3, 5, 1, 3},
		{1, 5, 0, 1},
	} {
		t.Run(fmt.Sprintf("%+v", test), func(t *testing.T) {
			t.Parallel()
			o := unhurried(t)
			earlier := mustOpen(t, o)
			rotations(t, earlier, test.earlier)
			mustClose(t, earlier)
			mustDo(t, os.WriteFile(strings.TrimSuffix(o.File, ".jsonl")+"-notes.jsonl", []byte("somebody's"), 0o600))
			lines := logLines(&o)
			o.MaxFiles = test.keep
			l := mustOpen(t, o)
			rotations(t, l, test.rotations)
			mustClose(t, l)
			left, err := rotatedFiles(o.File)
			if err != nil || len(left) != test.left {
				t.Fatalf("%d rotated files are left, %v: %q", len(left), err, left)
			}
			deleted := test.earlier + test.rotations - test.left
			if got := metricsOf(t, l)["chatidentity_audit_deleted_files_total"]; got != float64(deleted) {
				t.Errorf("%v deleted files are counted, want %d", got, deleted)
			}
			if got := strings.Count(lines.String(), `"event":"audit_file_deleted"`); got != deleted {
				t.Errorf("%d lines tell, want %d: %s", got, deleted, lines)
			}
			if _, err := os.Stat(strings.TrimSuffix(o.File, ".jsonl") + "-notes.jsonl"); err != nil {
				t.Error(err)
			}
			assertWholeFrom(t, o, append(left, o.File), lines.String())
		})
	}
}

// assertWholeFrom verifies what is left, after the head that the log tells.
func assertWholeFrom(t *testing.T, o Options, files []string, lines string) {
	t.Helper()
	verify := reader.VerifyOptions{Keys: o.Keys}
	if at := strings.LastIndex(lines, `"event":"audit_file_deleted"`); at >= 0 {
		_, rest, _ := strings.Cut(lines[at:], `"from_head":"`)
		text, _, _ := strings.Cut(rest, `"`)
		head, err := audit.ParseHead(text)
		if err != nil {
			t.Fatalf("%v: %s", err, lines[at:])
		}
		verify.From = &head
	}
	if report := mustVerify(t, verify, reader.Files(files...)...); report.Fault != nil {
		t.Errorf("what is left does not verify: %v", report)
	}
}

// A file that cannot be deleted keeps nobody from a token. It is announced, the others are deleted,
// and once it can be deleted it is, and that is announced too.
func TestAFileThatCannotBeDeleted(t *testing.T) {
	t.Parallel()
	o := unhurried(t)
	o.MaxFiles = 2
	lines := logLines(&o)
	var held atomic.Bool
	held.Store(true)
	var stuck string
	o.disk = stubDisk{gone: func(path string) error {
		if stuck == "" {
			stuck = path
		}
		if held.Load() && path == stuck {
			return &os.PathError{Op: "remove", Path: path, Err: syscall.EPERM}
		}
		return os.Remove(path)
	}}
	synctest.Test(t, func(t *testing.T) {
		l, err := Open(o)
		mustDo(t, err)
		for i := range 6 {
			mustWrite(t, l, fmt.Sprint(i))
			mustDo(t, l.Rotate(t.Context()))
			time.Sleep(time.Millisecond)
		}
		left, err := rotatedFiles(o.File)
		if err != nil || len(left) != 3 || left[0] != stuck {
			t.Errorf("left are %q, %v, want two files beside %s", left, err, stuck)
		}
		if got := strings.Count(lines.String(), `"part":"audit_retention","event":"outage_began"`); got != 1 {
			t.Errorf("%d lines tell of it: %s", got, lines)
		}
		held.Store(false)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if left, _ = rotatedFiles(o.File); len(left) != 2 {
			t.Errorf("left are %q", left)
		}
		if got := strings.Count(lines.String(), `"part":"audit_retention","event":"outage_ended"`); got != 1 {
			t.Errorf("%d lines tell of its end: %s", got, lines)
		}
		mustClose(t, l)
	})
}

// What has the name of a rotated file and is none, such as a directory, is left alone.
func TestWhatIsNoFileIsNotDeleted(t *testing.T) {
	t.Parallel()
	o := unhurried(t)
	o.MaxFiles = 1
	directory := rotatedPath(o.File, "20200101T000000.000000Z")
	mustDo(t, os.Mkdir(directory, 0o700))
	elsewhere := filepath.Join(t.TempDir(), "precious")
	mustDo(t, os.WriteFile(elsewhere, []byte("text"), 0o600))
	link := rotatedPath(o.File, "20200101T000001.000000Z")
	mustDo(t, os.Symlink(elsewhere, link))
	l := mustOpen(t, o)
	rotations(t, l, 3)
	for _, path := range []string{directory, link, elsewhere} {
		if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is gone", path)
		}
	}
}
