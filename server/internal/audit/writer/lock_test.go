package writer

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// The file and the rotated ones have the permissions that are configured, whatever the umask is,
// and whatever they were before.
func TestFileMode(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]os.FileMode{"the default": 0, "for the group": 0o640, "for a group that writes": 0o660} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := unhurried(t)
			runOnce(t, o, "earlier")
			mustDo(t, os.Chmod(o.File, 0o604))
			o.FileMode = mode
			want := orDefault(mode, DefaultFileMode)
			l := mustOpen(t, o)
			assertMode(t, o.File, want)
			mustWrite(t, l, "a")
			mustDo(t, l.Rotate(t.Context()))
			mustWrite(t, l, "b")
			rotated, err := rotatedFiles(o.File)
			if err != nil || len(rotated) != 1 {
				t.Fatalf("%q, %v", rotated, err)
			}
			assertMode(t, rotated[0], want)
			assertMode(t, o.File, want)
			assertMode(t, lockPath(o.File), 0o600)
		})
	}
}

// Where permissions cannot be changed, records are written all the same, and the log tells.
func TestFileModeThatCannotBeSet(t *testing.T) {
	t.Parallel()
	o := unhurried(t)
	lines := logLines(&o)
	o.FileMode = 0o640
	o.disk = stubDisk{log: func(path string) (file, error) {
		f, err := osDisk{}.openLog(path, create)
		return unchangeable{f}, err
	}}
	l := mustOpen(t, o)
	mustWrite(t, l, "a")
	if got := strings.Count(lines.String(), `"event":"audit_file_mode"`); got != 1 {
		t.Errorf("%d lines tell: %s", got, lines)
	}
}

type unchangeable struct{ file }

func (unchangeable) Chmod(os.FileMode) error { return syscall.EPERM }

// The advice is another one for a path that has the instance already: there a pod that is about to
// end has the lock.
func TestTheAdviceAboutALock(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string]string{
		"audit.jsonl":            "give each its own file, for example with {instance}",
		"audit-{instance}.jsonl": "it has the same instance, pod-1: wait for its end, or name another instance",
	} {
		o := unhurried(t)
		o.File = filepath.Join(filepath.Dir(o.File), pattern)
		mustWrite(t, mustOpen(t, o), "a")
		if _, err := Open(o); err == nil || !strings.HasSuffix(err.Error(), ": in use by another process; "+want) {
			t.Errorf("%s: %v", pattern, err)
		}
	}
}

func assertMode(t *testing.T, path string, want os.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != want {
		t.Errorf("%s has the mode %v, %v, want %v", path, info.Mode(), err, want)
	}
}

// Instances that were killed leave lock files, which the next instance removes. It leaves those
// that somebody holds, and what is no lock file of an instance.
func TestLocksOfTheDeadAreRemoved(t *testing.T) {
	t.Parallel()
	for name, pattern := range map[string]string{
		"in the name": "audit-{instance}.jsonl", "in a directory": "{instance}/audit.jsonl", "odd characters": "a[b]*-{instance}.jsonl",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := unhurried(t)
			directory := filepath.Dir(o.File)
			o.File = filepath.Join(directory, pattern)
			lockOf := func(instance string) string { return lockPath(strings.ReplaceAll(o.File, instanceMark, instance)) }
			for _, instance := range []string{"dead-1", "dead-2", "notes", "alive", "pod-1"} {
				mustDo(t, os.MkdirAll(filepath.Dir(lockOf(instance)), 0o700))
			}
			put := func(path, text string) { mustDo(t, os.WriteFile(path, []byte(text), 0o600)) }
			put(lockOf("dead-1"), "")
			put(lockOf("dead-2"), "")
			put(lockOf("notes"), "somebody's")
			put(filepath.Join(directory, "other.lock"), "")
			alive := o
			alive.Instance = "alive"
			mustWrite(t, mustOpen(t, alive), "a")
			left := func() string {
				var names []string
				mustDo(t, filepath.WalkDir(directory, func(path string, _ os.DirEntry, err error) error {
					if strings.HasSuffix(path, ".lock") {
						relative, _ := filepath.Rel(directory, path)
						names = append(names, relative)
					}
					return err
				}))
				return strings.Join(names, " ")
			}
			relative := func(instance string) string {
				return strings.TrimPrefix(lockOf(instance), directory+"/")
			}
			l := mustOpen(t, o)
			got := left()
			for _, instance := range []string{"alive", "notes", "pod-1"} {
				if !strings.Contains(got, relative(instance)) {
					t.Errorf("%s has no lock file: %s", instance, got)
				}
			}
			if strings.Contains(got, "dead") || !strings.Contains(got, "other.lock") {
				t.Errorf("left are %s", got)
			}
			mustClose(t, l)
			if got := left(); strings.Contains(got, relative("pod-1")) {
				t.Errorf("a clean stop leaves its lock file: %s", got)
			}
		})
	}
}

// Whoever removes lock files and whoever takes them never lead to two holders of one path.
func TestOneHolderWhoeverRemovesLocks(t *testing.T) {
	t.Parallel()
	o := unhurried(t)
	var holders, taken atomic.Int64
	var everyone sync.WaitGroup
	for range 4 {
		everyone.Go(func() {
			for taken.Load() < 500 {
				f, err := openLock(&o, create)
				if err != nil {
					continue // another holds it
				}
				if n := holders.Add(1); n > 1 {
					t.Errorf("%d hold the lock", n)
				}
				taken.Add(1)
				holders.Add(-1)
				if unlock(f) != nil {
					t.Error("it cannot be given back")
				}
			}
		})
	}
	everyone.Go(func() {
		for taken.Load() < 500 {
			_ = removeUnheld(lockPath(o.File))
		}
	})
	everyone.Wait()
}
