package config

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// word is a value that must begin with "good".
func parseWord(contents [][]byte, _ *string) (*string, error) {
	word := string(bytes.Join(contents, []byte("+")))
	if !strings.HasPrefix(word, "good") {
		return nil, errors.New("not good")
	}
	return &word, nil
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

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

func TestAChangeIsTakenOverOnceItHasSettled(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "good 1")
	var log logText
	live, err := OpenLive("--some-file", "some", slog.New(slog.NewTextHandler(&log, nil)), parseWord, path)
	if err != nil {
		t.Fatal(err)
	}
	result := func(name string) float64 { return reloads(t, live, name) }
	for i, step := range []struct {
		text   string
		again  bool
		value  string
		ok     float64
		failed float64
	}{
		{"good 1", false, "good 1", 0, 0},
		{"good 2", true, "good 1", 0, 0},
		{"good 3", true, "good 1", 0, 0}, // somebody is still writing
		{"good 3", false, "good 3", 1, 0},
		{"bad", true, "good 3", 1, 0},
		{"bad", false, "good 3", 1, 1},
		{"bad", false, "good 3", 1, 1}, // told once
		{"", true, "good 3", 1, 1},
		{"", false, "good 3", 1, 2},
		{"good 3", true, "good 3", 1, 2},
		{"good 3", false, "good 3", 2, 2}, // good again
		{"good 4", true, "good 3", 2, 2},
		{"good 3", false, "good 3", 2, 2}, // and back before anybody saw
	} {
		write(t, path, step.text)
		if again := live.look(); again != step.again || *live.Value() != step.value || result("ok") != step.ok || result("error") != step.failed {
			t.Errorf("step %d: again %t, value %q, ok %v, failed %v; want %+v", i, again, *live.Value(), result("ok"), result("error"), step)
		}
	}
	if log.count("not taken over") != 2 || log.count("setting=--some-file") != 4 || log.count("error=\"not good\"") != 1 {
		t.Errorf("log: %s", log.text.String())
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	live.look()
	if live.look() || *live.Value() != "good 3" || result("error") != 3 {
		t.Errorf("after its removal: value %q, failed %v", *live.Value(), result("error"))
	}
}

func reloads(t *testing.T, live *Live[string], result string) float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(live.Collector())
	families, err := registry.Gather()
	if err != nil || len(families) != 1 || families[0].GetName() != "chatidentity_some_reloads_total" {
		t.Fatalf("metrics %v, error %v", families, err)
	}
	for _, metric := range families[0].GetMetric() {
		if metric.GetLabel()[0].GetValue() == result {
			return metric.GetCounter().GetValue()
		}
	}
	t.Fatalf("no result %s", result)
	return 0
}

func TestSeveralFilesAreOneValue(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	one, two := filepath.Join(directory, "one"), filepath.Join(directory, "two")
	write(t, one, "good")
	write(t, two, "pair")
	live, err := OpenLive("--pair", "pair", slog.New(slog.DiscardHandler), parseWord, one, two)
	if err != nil || *live.Value() != "good+pair" {
		t.Fatalf("error %v", err)
	}
	write(t, two, "pair 2")
	live.look()
	live.look()
	if *live.Value() != "good+pair 2" {
		t.Errorf("value %q", *live.Value())
	}
}

func TestWhatCannotBeReadAtTheStart(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	for name, text := range map[string]string{"empty": "", "bad": "bad", "large": "good" + strings.Repeat(".", maxFileSize)} {
		path := filepath.Join(directory, name)
		write(t, path, text)
		if _, err := OpenLive("--some-file", "some", slog.New(slog.DiscardHandler), parseWord, path); !errors.Is(err, ErrUsage) || !strings.HasPrefix(err.Error(), "--some-file: ") {
			t.Errorf("%s: error %v", name, err)
		}
	}
	for _, path := range []string{directory, filepath.Join(directory, "missing")} {
		if _, err := OpenLive("--some-file", "some", slog.New(slog.DiscardHandler), parseWord, path); err == nil {
			t.Errorf("%s: no error", path)
		}
	}
}

// Follow takes over a change of a plain file, of one that is replaced, and of a
// volume of Kubernetes, where a symlink to a directory is swapped.
func TestFollow(t *testing.T) {
	t.Parallel()
	volume := t.TempDir()
	swap := func(n int) {
		version := fmt.Sprintf("..version-%d", n)
		if err := os.Mkdir(filepath.Join(volume, version), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(volume, version, "file"), fmt.Sprintf("good %d", n))
		if err := errors.Join(os.Symlink(version, filepath.Join(volume, "..tmp")), os.Rename(filepath.Join(volume, "..tmp"), filepath.Join(volume, "..data"))); err != nil {
			t.Fatal(err)
		}
	}
	swap(0)
	path := filepath.Join(volume, "file")
	if err := os.Symlink("..data/file", path); err != nil {
		t.Fatal(err)
	}
	live, err := OpenLive("--some-file", "some", slog.New(slog.DiscardHandler), parseWord, path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	wake := make(chan struct{}, 1)
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		Follow(ctx, slog.New(slog.DiscardHandler), wake, live)
	}()
	for n := 1; n <= 10; n++ {
		swap(n)
		await(t, live, fmt.Sprintf("good %d", n))
	}
	write(t, path, "good in place")
	wake <- struct{}{}
	await(t, live, "good in place")
	cancel()
	<-followed
}

func await(t *testing.T, live *Live[string], want string) {
	t.Helper()
	timeout := time.After(20 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for *live.Value() != want {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("value %q, want %q", *live.Value(), want)
		}
	}
}
