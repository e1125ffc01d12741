package watch

import (
	"cmp"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/fsnotify/fsnotify"
)

// naming are the options of a file that holds the path of another, whose word is the value.
func naming(path string) Options[string] {
	return Options[string]{
		Kind: "some", Setting: "--some-file", Paths: []string{path},
		Parse: func(contents [][]byte, _ string) (string, error) {
			other := string(contents[0])
			content, err := ReadFile(other)
			word, wrong := parseWord([][]byte{content}, "")
			if err := cmp.Or(err, wrong); err != nil {
				return "", fmt.Errorf("the named file: %w", &NamedFileError{other, err})
			}
			return word, nil
		},
	}
}

// Contents that are rejected because of a file that they name are parsed again when that changes,
// and only then. The same rejection is told once, unless the contents themselves have changed.
func TestContentsAreParsedAgainWhenTheFileThatTheyNameChanges(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	path, first, second := filepath.Join(directory, "file"), filepath.Join(directory, "first"), filepath.Join(directory, "second")
	write(t, path, first)
	var log logText
	follower := newFollower(&log)
	options, parsed := naming(path), 0
	parse := options.Parse
	options.Parse = func(contents [][]byte, last string) (string, error) { parsed++; return parse(contents, last) }
	value := New(follower, options)
	for i, step := range []struct {
		path, text string
		value      string
		wrong      bool
		parsed     int
		failed, ok float64
	}{
		{path, first, "", true, 2, 0, 0}, // once more: it was not compared before it was read
		{path, first, "", true, 2, 0, 0},
		{first, "bad", "", true, 3, 1, 0},
		{first, "worse", "", true, 4, 1, 0},
		{path, second, "", true, 6, 2, 0},
		{first, "good 1", "", true, 6, 2, 0}, // nothing names it now
		{second, "good 2", "good 2", false, 7, 2, 1},
		{second, "bad", "good 2", false, 7, 2, 1}, // it is followed only while it is what is wrong
		{path, first, "good 1", false, 8, 2, 2},
		{path, second, "good 1", true, 10, 3, 2},
		{path, "", "good 1", true, 10, 4, 2},
		{second, "good 3", "good 1", true, 10, 4, 2},
		{path, second, "good 3", false, 11, 4, 3},
	} {
		write(t, step.path, step.text)
		looks := 1
		for ; follower.look(); looks++ {
			if looks > 10 {
				t.Fatalf("step %d: it looks and looks", i)
			}
		}
		if value.Load() != step.value || (value.Err() != nil) != step.wrong || parsed != step.parsed ||
			reloads(t, follower, "error") != step.failed || reloads(t, follower, "ok") != step.ok {
			t.Errorf("step %d: value %q, error %v, parsed %d times, failed %v, ok %v; want %+v", i, value.Load(), value.Err(),
				parsed, reloads(t, follower, "error"), reloads(t, follower, "ok"), step)
		}
	}
	if log.count("msg=\"reload rejected") != 4 || log.count("msg=reloaded") != 3 {
		t.Errorf("log: %s", log.text.String())
	}
}

// A named file that comes while the contents are being rejected is not missed.
func TestANamedFileThatComesDuringTheRejection(t *testing.T) {
	t.Parallel()
	for _, atStart := range []bool{true, false} {
		directory := t.TempDir()
		path, other := filepath.Join(directory, "file"), filepath.Join(directory, "other")
		write(t, path, filepath.Join(directory, "none"))
		options := naming(path)
		parse := options.Parse
		options.Parse = func(contents [][]byte, last string) (string, error) {
			word, err := parse(contents, last)
			if string(contents[0]) == other {
				write(t, other, "good")
			}
			return word, err
		}
		if atStart {
			write(t, path, other)
		}
		follower := newFollower(&logText{})
		value := New(follower, options)
		write(t, path, other)
		for follower.look() {
		}
		if value.Load() != "good" || value.Err() != nil {
			t.Errorf("at the start %t: value %q, error %v", atStart, value.Load(), value.Err())
		}
	}
}

// A named file is followed as the others are: its directory is watched, Look looks at it, and it is
// read once a second, in a directory that comes later too.
func TestANamedFileIsFollowed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		mend func(t *testing.T, follower *Follower, other string)
	}{
		"by an event": {func(t *testing.T, _ *Follower, other string) { t.Helper(); write(t, other, "good") }},
		"by Look": {func(t *testing.T, follower *Follower, other string) {
			t.Helper()
			write(t, other, "good")
			<-follower.Look()
			if follower.Wrong() != nil {
				t.Errorf("after the look: %v", follower.Wrong())
			}
		}},
		"by polling": {func(t *testing.T, follower *Follower, other string) {
			t.Helper()
			target := filepath.Join(t.TempDir(), "target")
			check(t, os.Symlink(target, other)) // what becomes of its target causes no event
			<-follower.Look()
			write(t, target, "good")
		}},
		"in a directory that comes later": {func(t *testing.T, follower *Follower, other string) {
			t.Helper()
			check(t, os.Remove(filepath.Dir(other)))
			<-follower.Look()
			check(t, os.Mkdir(filepath.Dir(other), 0o700))
			write(t, other, "good")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, other := filepath.Join(t.TempDir(), "file"), filepath.Join(t.TempDir(), "volume", "other")
			check(t, os.Mkdir(filepath.Dir(other), 0o700))
			write(t, path, other)
			follower := NewFollower(slog.New(slog.DiscardHandler))
			value := New(follower, naming(path))
			run(t, follower, never)
			<-follower.Look()
			test.mend(t, follower, other)
			await(t, func() bool { return value.Load() == "good" })
		})
	}
}

func TestAWriteToANamedFileIsAReasonToLook(t *testing.T) {
	t.Parallel()
	all := []*files{{paths: []string{"/etc/policy"}, named: []string{"/keys//login"}}}
	if !concerns(fsnotify.Event{Name: "/keys/login", Op: fsnotify.Write}, all) {
		t.Error("it is none")
	}
}

// While nothing is wrong with a named file, files are read as seldom as ever.
func TestHowOftenANamedFileIsRead(t *testing.T) {
	t.Parallel()
	path, other := filepath.Join(t.TempDir(), "file"), filepath.Join(t.TempDir(), "other")
	write(t, path, other)
	follower := newFollower(&logText{})
	value := New(follower, naming(path))
	if pause := follower.pause(false, true); pause != wantingPoll {
		t.Errorf("while it is missing: every %v", pause)
	}
	write(t, other, "good")
	for follower.look() {
	}
	if pause := follower.pause(false, true); pause != defaultPoll {
		t.Errorf("while it is good: every %v", pause)
	}
	value.Close()
}
