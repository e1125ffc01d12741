package watch

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// parseWord makes one word of all files. It must begin with "good".
func parseWord(contents [][]byte, _ string) (string, error) {
	word := string(bytes.Join(contents, []byte("+")))
	if !strings.HasPrefix(word, "good") {
		return "", errors.New("not good")
	}
	return word, nil
}

func words(paths ...string) Options[string] {
	return Options[string]{Kind: "some", Setting: "--some-file", Paths: paths, Parse: parseWord}
}

func newFollower(log *logText) *Follower {
	return NewFollower(slog.New(slog.NewTextHandler(log, nil)))
}

func TestAChangeIsTakenOverOnceItHasSettled(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "good 1")
	var log logText
	follower := newFollower(&log)
	value := New(follower, words(path))
	for i, step := range []struct {
		text   string
		again  bool
		value  string
		wrong  bool
		ok     float64
		failed float64
	}{
		{"good 1", false, "good 1", false, 0, 0},
		{"good 2", true, "good 1", false, 0, 0},
		{"good 3", true, "good 1", false, 0, 0}, // somebody is still writing
		{"good 3", false, "good 3", false, 1, 0},
		{"bad", true, "good 3", false, 1, 0},
		{"bad", false, "good 3", true, 1, 1},
		{"bad", false, "good 3", true, 1, 1}, // reported once
		{"", true, "good 3", true, 1, 1},
		{"", false, "good 3", true, 1, 2},
		{"good 3", true, "good 3", true, 1, 2},
		{"good 3", false, "good 3", false, 2, 2}, // good again
		{"good 4", true, "good 3", false, 2, 2},
		{"good 3", false, "good 3", false, 2, 2}, // and back before anybody saw
	} {
		write(t, path, step.text)
		if again := follower.look(); again != step.again || value.Load() != step.value || (value.Err() != nil) != step.wrong ||
			reloads(t, follower, "ok") != step.ok || reloads(t, follower, "error") != step.failed {
			t.Errorf("step %d: again %t, value %q, error %v, ok %v, failed %v; want %+v",
				i, again, value.Load(), value.Err(), reloads(t, follower, "ok"), reloads(t, follower, "error"), step)
		}
	}
	for text, want := range map[string]int{
		"msg=reloaded": 2, "reload rejected, keeping the last good version": 2, "setting=--some-file": 4, "error=\"" + path + ": not good\"": 1,
	} {
		if got := log.count(text); got != want {
			t.Errorf("the log has %q %d times, want %d", text, got, want)
		}
	}
	check(t, os.Remove(path))
	follower.look()
	if current, err := value.Current(); follower.look() || current != "good 3" || err != nil || reloads(t, follower, "error") != 3 {
		t.Errorf("after its removal: value %q, %v", current, err)
	}
}

func TestSeveralFilesAreOneValue(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	one, two := filepath.Join(directory, "one"), filepath.Join(directory, "two")
	write(t, one, "good")
	write(t, two, "pair")
	follower := newFollower(&logText{})
	value := New(follower, words(one, two))
	if value.Load() != "good+pair" {
		t.Fatalf("value %q, error %v", value.Load(), value.Err())
	}
	for _, change := range []struct{ path, text, want string }{
		{two, "pair 2", "good+pair 2"},
		{one, "goods", "goods+pair 2"},
		{one, "good", "good+pair 2"},
	} {
		write(t, change.path, change.text)
		follower.look()
		follower.look()
		if value.Load() != change.want {
			t.Errorf("value %q, want %q", value.Load(), change.want)
		}
	}
}

// Where one file ends and the next begins is part of what they hold.
func TestABoundaryThatMovesIsAChange(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	one, two := filepath.Join(directory, "one"), filepath.Join(directory, "two")
	identityOf := func(first, second string) identity {
		write(t, one, first)
		write(t, two, second)
		_, id, err := read([]string{one, two})
		check(t, err)
		return id
	}
	if identityOf("ab", "c") == identityOf("a", "bc") {
		t.Error("a boundary has moved unnoticed")
	}
}

// A file that is missing or wrong at the start is an error that the caller weighs; the value comes
// with the file.
func TestFilesThatAreNoValueAtTheStart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	var log logText
	follower := newFollower(&log)
	value := New(follower, words(path))
	if got, err := value.Current(); got != "" || !errors.Is(err, fs.ErrNotExist) || !errors.Is(value.Err(), fs.ErrNotExist) {
		t.Errorf("a missing file: value %q, error %v", got, err)
	}
	if follower.look(); log.count("rejected") != 0 {
		t.Error("what New has returned is not logged again")
	}
	for _, step := range []struct{ text, value, wrong string }{
		{"bad", "", "not good"},
		{"good", "good", ""},
	} {
		write(t, path, step.text)
		follower.look()
		follower.look()
		got, err := value.Current()
		if got != step.value || (err == nil) != (step.wrong == "") || err != nil && !strings.Contains(err.Error(), step.wrong) {
			t.Errorf("%s: value %q, error %v", step.text, got, err)
		}
	}
	if log.count("reload rejected, there is no good version yet") != 1 || log.count("reload rejected") != 1 || log.count("msg=reloaded") != 1 {
		t.Errorf("log: %s", log.text.String())
	}
}

func TestParseGetsTheLastGoodValue(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "1")
	follower := newFollower(&logText{})
	value := New(follower, Options[[]string]{Paths: []string{path}, Parse: func(contents [][]byte, last []string) ([]string, error) {
		return append(slices.Clip(last), string(contents[0])), nil
	}})
	write(t, path, "2")
	follower.look()
	follower.look()
	if got := value.Load(); !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("value %v", got)
	}
}

// Looked hears of each look, that of New included, and not of files that are still changing.
func TestLooked(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "good 1")
	var heard []string
	options := words(path)
	options.Looked = func(value string, err error) {
		if err != nil {
			value += ", " + filepath.Base(err.Error())
		}
		heard = append(heard, value)
	}
	follower := newFollower(&logText{})
	New(follower, options)
	for _, text := range []string{"good 1", "good 2", "good 2", "bad", "bad", "bad"} {
		write(t, path, text)
		follower.look()
	}
	want := []string{"good 1", "good 1", "good 2", "good 2, file: not good", "good 2, file: not good"}
	if !slices.Equal(heard, want) {
		t.Errorf("heard %q, want %q", heard, want)
	}
}

// What is wrong with a required file is wanting until it has been good once, and shown by the metric
// whenever it is wrong.
func TestWhatIsWanting(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	first, second, other := filepath.Join(directory, "1"), filepath.Join(directory, "2"), filepath.Join(directory, "3")
	write(t, first, "good")
	follower := newFollower(&logText{})
	for _, path := range []string{first, second, other} {
		options := words(path)
		options.Required, options.Setting = path != other, "--"+filepath.Base(path)
		New(follower, options)
	}
	for i, step := range []struct {
		write, text string
		wanting     string
		wrong       float64
	}{
		{first, "good", "--2: open " + second + ": no such file or directory", 2},
		{second, "bad", "--2: " + second + ": not good", 2},
		{first, "bad", "--2: " + second + ": not good", 3}, // its last good version stays
		{second, "good", "", 2},
		{second, "bad", "", 3},
		{other, "good", "", 2},
	} {
		write(t, step.write, step.text)
		follower.look()
		follower.look()
		wanting := ""
		if err := follower.Wanting(); err != nil {
			wanting = err.Error()
		}
		if wrong := metric(t, follower, "chatidentity_files_wrong", "some"); wanting != step.wanting || wrong != step.wrong {
			t.Errorf("step %d: wanting %q, %v are wrong; want %+v", i, wanting, wrong, step)
		}
	}
}

func TestWholeIsToldOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "later", "file")
	follower := newFollower(&logText{})
	options := words(path)
	options.Required = true
	New(follower, options)
	run(t, follower, 10*time.Millisecond)
	select {
	case <-follower.Whole():
		t.Error("whole without the file")
	default:
	}
	check(t, os.Mkdir(filepath.Dir(path), 0o700)) // which could not be watched
	write(t, path, "good")
	<-follower.Whole()
}

func TestWithoutAFollowerAValueIsReadOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "good")
	value := New(nil, words(path))
	value.Close()
	if value.Load() != "good" || value.Err() != nil {
		t.Errorf("value %q, error %v", value.Load(), value.Err())
	}
}

func reloads(t *testing.T, follower *Follower, result string) float64 {
	t.Helper()
	return metric(t, follower, "chatidentity_file_reloads_total", "some", result)
}

// metric returns the value of the one that has the labels.
func metric(t *testing.T, follower *Follower, name string, labels ...string) float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(follower)
	families, err := registry.Gather()
	if err != nil || len(families) != 2 {
		t.Fatalf("metrics %v, error %v", families, err)
	}
	for _, family := range families {
		for _, one := range family.GetMetric() {
			var got []string
			for _, label := range one.GetLabel() {
				got = append(got, label.GetValue())
			}
			if family.GetName() == name && slices.Equal(got, labels) {
				return one.GetCounter().GetValue() + one.GetGauge().GetValue()
			}
		}
	}
	t.Fatalf("no metric %s of %q", name, labels)
	return 0
}

// logText is a log's text.
type logText struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logText) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), part)
}
