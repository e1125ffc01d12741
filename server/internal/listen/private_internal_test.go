//go:build unix

package listen

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// Of two that start at the same instant, one serves and the other gives way, whether or not a socket
// that nobody serves is there. Nothing is left behind.
func TestTwoStartAtTheSameInstant(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	path := filepath.Join(directory, "s")
	for round := range 300 {
		if round%2 == 0 {
			leaveSocket(t, path)
		}
		var starting sync.WaitGroup
		var opened [2]*socket
		var errs [2]error
		for i := range opened {
			starting.Go(func() { opened[i], errs[i] = openSocket(t.Context(), path, 0o600) })
		}
		starting.Wait()
		serving, givingWay := opened[0], errs[1]
		if serving == nil {
			serving, givingWay = opened[1], errs[0]
		}
		if serving == nil || !errors.Is(givingWay, errAnswers) {
			t.Fatalf("round %d: errors %v, want one that serves and one that finds it in use", round, errs)
		}
		if !serving.isInPlace() {
			t.Fatalf("round %d: nobody reaches the one that serves", round)
		}
		serving.Close()
	}
	wantEmpty(t, directory)
}

// What a kill left behind goes at the next start; a private directory that is in use, and files and
// directories that are not ours, stay.
func TestAStartRemovesWhatAKillLeft(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	for name, files := range map[string][]string{".ci-1": nil, ".ci-2": {newName}, ".ci-3": {newName, oldName}} {
		if err := os.Mkdir(filepath.Join(directory, name), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			leaveSocket(t, filepath.Join(directory, name, file))
		}
	}
	starting, precious := filepath.Join(directory, ".ci-starting"), filepath.Join(directory, ".ci-precious")
	if err := errors.Join(os.Mkdir(starting, 0o700), os.Mkdir(precious, 0o700),
		os.WriteFile(filepath.Join(precious, "file"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	notOurs := filepath.Join(directory, "empty")
	if err := os.Mkdir(notOurs, 0o700); err != nil {
		t.Fatal(err)
	}
	other, err := makeSocket(t.Context(), filepath.Join(starting, newName), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	opened, err := openSocket(t.Context(), filepath.Join(directory, "s"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	opened.Close()
	left, err := os.ReadDir(directory)
	if err != nil || len(left) != 3 || left[0].Name() != ".ci-precious" || left[1].Name() != ".ci-starting" ||
		left[2].Name() != "empty" {
		t.Errorf("left: %v, error %v", left, err)
	}
}

func TestAStaleSocketIsMovedAsideAndRemoved(t *testing.T) {
	t.Parallel()
	directory, private := t.TempDir(), t.TempDir()
	path := filepath.Join(directory, "s")
	leaveSocket(t, path)
	if err := moveAside(t.Context(), private, path); err != nil {
		t.Error(err)
	}
	wantEmpty(t, directory)
	wantEmpty(t, private)
	if err := moveAside(t.Context(), private, path); err != nil {
		t.Errorf("another process was faster: %v", err)
	}
}

// Where a file system cannot rename without replacing, a link does the same.
func TestALinkReplacesNothing(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	from, to := filepath.Join(directory, "from"), filepath.Join(directory, "to")
	leaveSocket(t, from)
	if err := linkTo(from, to); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(from); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what was moved is still there: %v", err)
	}
	leaveSocket(t, from)
	if err := linkTo(from, to); !errors.Is(err, fs.ErrExist) {
		t.Errorf("error %v", err)
	}
	if _, err := os.Lstat(from); err != nil {
		t.Errorf("what was not moved is gone: %v", err)
	}
}

// A stranger who may read the directory can lock it. That stops nobody.
func TestALockedDirectory(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	directory, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer directory.Close()
	if err := unix.Flock(int(directory.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	opened, err := openSocket(t.Context(), filepath.Join(path, "s"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	opened.Close()
}

// leaveSocket makes a socket on which nobody answers.
func leaveSocket(t *testing.T, path string) {
	t.Helper()
	if err := leaveSocketAt(path); err != nil {
		t.Fatal(err)
	}
}

func wantEmpty(t *testing.T, directory string) {
	t.Helper()
	if left, err := os.ReadDir(directory); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, error %v", left, err)
	}
}
