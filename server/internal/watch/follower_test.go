package watch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// patience is how long a test waits for what must happen.
	patience = 20 * time.Second
	// never is a poll that does not come: what takes effect was seen by the watch.
	never = time.Hour
)

// Each way in which a file is changed takes effect without waiting for the poll, the tenth time as
// the first.
func TestEachKindOfChangeIsSeen(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(t *testing.T, path string, round int, text string){
		"a volume of Kubernetes": func(t *testing.T, path string, round int, text string) {
			t.Helper()
			swap(t, path, round, text)
		},
		"written in place": func(t *testing.T, path string, _ int, text string) {
			t.Helper()
			write(t, path, text)
		},
		"renamed over": func(t *testing.T, path string, _ int, text string) {
			t.Helper()
			write(t, path+".new", text)
			check(t, os.Rename(path+".new", path))
		},
		"removed and made anew": func(t *testing.T, path string, _ int, text string) {
			t.Helper()
			check(t, os.Remove(path))
			write(t, path, text)
		},
		"symlink replaced": func(t *testing.T, path string, _ int, text string) {
			t.Helper()
			target := filepath.Join(t.TempDir(), "target")
			write(t, target, text)
			check(t, os.Symlink(target, path+".new"))
			check(t, os.Rename(path+".new", path))
		},
		"its directory replaced": func(t *testing.T, path string, round int, text string) {
			t.Helper()
			directory := filepath.Dir(path)
			check(t, os.Rename(directory, fmt.Sprint(directory, "-", round)))
			check(t, os.Mkdir(directory, 0o700))
			write(t, path, text)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			directory := filepath.Join(t.TempDir(), "mount")
			check(t, os.Mkdir(directory, 0o700))
			path := filepath.Join(directory, "file")
			if name == "a volume of Kubernetes" {
				swap(t, path, 0, "good 0")
				check(t, os.Symlink(filepath.Join("..data", "file"), path))
			} else {
				write(t, path, "good 0")
			}
			follower := newFollower(&logText{})
			value := New(follower, words(path))
			poll := never
			if name == "its directory replaced" { // for a moment there is nothing to watch
				poll = settle
			}
			run(t, follower, poll)
			for round := 1; round <= 10; round++ {
				want := fmt.Sprint("good ", round)
				change(t, path, round, want)
				await(t, func() bool { return value.Load() == want })
			}
			if value.Err() != nil {
				t.Error(value.Err())
			}
		})
	}
}

// swap makes version n of a Kubernetes volume, as the kubelet does: file -> ..data/file, ..data ->
// ..version-n, and an update renames a new ..data over the old one.
func swap(t *testing.T, path string, n int, text string) {
	t.Helper()
	volume, name := filepath.Split(path)
	version := fmt.Sprint("..version-", n)
	check(t, os.Mkdir(filepath.Join(volume, version), 0o700))
	write(t, filepath.Join(volume, version, name), text)
	check(t, os.Symlink(version, filepath.Join(volume, "..data_tmp")))
	check(t, os.Rename(filepath.Join(volume, "..data_tmp"), filepath.Join(volume, "..data")))
	if n > 0 {
		check(t, os.RemoveAll(filepath.Join(volume, fmt.Sprint("..version-", n-1))))
	}
}

// A change behind a symlink causes no event in the directory of the link.
func TestAChangeWithoutAnEventIsFound(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		poll time.Duration
		wake bool
	}{
		"by polling": {10 * time.Millisecond, false},
		"by Wake":    {never, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target, link := filepath.Join(t.TempDir(), "target"), filepath.Join(t.TempDir(), "link")
			write(t, target, "good 0")
			check(t, os.Symlink(target, link))
			follower := newFollower(&logText{})
			value := New(follower, words(link))
			run(t, follower, test.poll)
			for n := range 3 {
				want := fmt.Sprint("good ", n)
				write(t, target, want)
				if test.wake {
					follower.Wake()
				}
				await(t, func() bool { return value.Load() == want })
			}
		})
	}
}

// Look tells when a change from before it has been taken over, and Wrong what is wrong then.
func TestLook(t *testing.T) {
	t.Parallel()
	target, link := filepath.Join(t.TempDir(), "target"), filepath.Join(t.TempDir(), "link")
	write(t, target, "good 0")
	check(t, os.Symlink(target, link)) // what becomes of its target causes no event
	follower := newFollower(&logText{})
	value := New(follower, words(link))
	run(t, follower, never)
	for n := range 10 {
		want := fmt.Sprint("good ", n)
		write(t, target, want)
		<-follower.Look()
		if got := value.Load(); got != want || follower.Wrong() != nil {
			t.Errorf("after the look it is %q, want %q; wrong: %v", got, want, follower.Wrong())
		}
	}
	check(t, os.Remove(target))
	<-follower.Look()
	if err := follower.Wrong(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file is gone, and wrong is %v", err)
	}
}

func TestManyRequestsDoNotPutOffTheLook(t *testing.T) {
	t.Parallel()
	target, link := filepath.Join(t.TempDir(), "target"), filepath.Join(t.TempDir(), "link")
	write(t, target, "good 0")
	check(t, os.Symlink(target, link)) // what becomes of its target causes no event
	follower := newFollower(&logText{})
	value := New(follower, words(link))
	run(t, follower, never)
	write(t, target, "good 1")
	await(t, func() bool {
		follower.Wake()
		return value.Load() == "good 1"
	})
}

// A directory that cannot be watched is reported once; its files are read all the same, and the
// directory is watched once it is there.
func TestADirectoryThatComesLater(t *testing.T) {
	t.Parallel()
	directory := filepath.Join(t.TempDir(), "mount")
	path := filepath.Join(directory, "file")
	var log logText
	follower := newFollower(&log)
	var looks atomic.Int32
	options := words(path)
	options.Looked = func(string, error) { looks.Add(1) }
	value := New(follower, options)
	run(t, follower, time.Millisecond)
	await(t, func() bool { return looks.Load() > 3 })
	check(t, os.Mkdir(directory, 0o700))
	write(t, path, "good")
	await(t, func() bool { return value.Load() == "good" })
	if log.count("cannot be watched") != 1 {
		t.Errorf("reported %d times", log.count("cannot be watched"))
	}
}

// A changed policy brings files and drops files: values come and go while the follower runs, also
// from inside the parsing of another.
func TestValuesComeAndGo(t *testing.T) {
	t.Parallel()
	parent, one, two := filepath.Join(t.TempDir(), "parent"), filepath.Join(t.TempDir(), "one"), filepath.Join(t.TempDir(), "two")
	write(t, one, "good 1")
	write(t, two, "good 2")
	write(t, parent, one)
	follower := newFollower(&logText{})
	family := New(follower, Options[*Value[string]]{
		Kind: "parent", Paths: []string{parent},
		Parse: func(contents [][]byte, last *Value[string]) (*Value[string], error) {
			if last != nil {
				last.Close()
			}
			return New(follower, words(string(contents[0]))), nil
		},
	})
	run(t, follower, never)
	write(t, one, "good 1, changed")
	await(t, func() bool { return family.Load().Load() == "good 1, changed" })
	dropped := family.Load()
	write(t, parent, two)
	await(t, func() bool { return family.Load().Load() == "good 2" })
	write(t, one, "good 1, unseen")
	write(t, two, "good 2, changed")
	await(t, func() bool { return family.Load().Load() == "good 2, changed" })
	if dropped.Load() != "good 1, changed" || len(follower.followed()) != 2 {
		t.Errorf("a closed value is %q; %d files are followed", dropped.Load(), len(follower.followed()))
	}
}

// Directories whose values have gone are not watched any more.
func TestOnlyTheDirectoriesOfValuesAreWatched(t *testing.T) {
	t.Parallel()
	var log logText
	follower := newFollower(&log)
	watched := newDirectories(follower.log)
	defer watched.close()
	stays, goes := New(follower, words(filepath.Join(t.TempDir(), "stays"))), New(follower, words(filepath.Join(t.TempDir(), "goes")))
	for _, want := range []int{2, 1, 0} {
		if watched.watch(follower.followed()); len(watched.watcher.WatchList()) != want {
			t.Errorf("watched: %q, want %d", watched.watcher.WatchList(), want)
		}
		if want == 2 {
			goes.Close()
		} else {
			stays.Close()
		}
	}
}

// The audit file may lie beside a file that is followed.
func TestWritesToOtherFilesAreNoReasonToLook(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		event fsnotify.Event
		want  bool
	}{
		{fsnotify.Event{Name: "/etc/audit.jsonl", Op: fsnotify.Write}, false},
		{fsnotify.Event{Name: "/etc/key", Op: fsnotify.Write}, true},
		{fsnotify.Event{Name: "./relative", Op: fsnotify.Write}, true},
		{fsnotify.Event{Name: "/etc/..data", Op: fsnotify.Create}, true},
		{fsnotify.Event{Name: "/etc/anything", Op: fsnotify.Rename}, true},
		{fsnotify.Event{Name: "/etc/anything", Op: fsnotify.Remove}, true},
		{fsnotify.Event{Name: "/etc/anything", Op: fsnotify.Chmod}, true},
	} {
		all := []*files{{paths: []string{"/etc//key"}}, {paths: []string{"relative"}}}
		if got := concerns(test.event, all); got != test.want {
			t.Errorf("%v: %t", test.event, got)
		}
	}
}

// run follows until the test ends.
func run(t *testing.T, follower *Follower, poll time.Duration) {
	t.Helper()
	follower.poll = poll
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		follower.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-stopped
	})
}

// await returns when the condition holds.
func await(t *testing.T, condition func() bool) {
	t.Helper()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	tooLate := time.After(patience)
	for !condition() {
		select {
		case <-again.C:
		case <-tooLate:
			t.Fatal("did not happen in time")
		}
	}
}
