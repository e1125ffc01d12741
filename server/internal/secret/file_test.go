package secret_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/secret"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

func TestOneTrailingNewlineIsDroppedAndNothingElse(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		"secret":           "secret",
		"secret\n":         "secret",
		"secret\r\n":       "secret",
		"secret\n\n":       "secret\n",
		"secret\r":         "secret\r",
		"secret\n\r\n":     "secret\n",
		"\u00a0secret\t\n": "\u00a0secret\t",
		"\ufeffsecret":     "\ufeffsecret",
		"\nsecret":         "\nsecret",
		"a\x00b":           "a\x00b",
		"\xff\n":           "\xff",
		strings.Repeat("x", secret.MaxSize) + "\r\n": strings.Repeat("x", secret.MaxSize),
	} {
		path := write(t, t.TempDir(), content)
		store := open(t, secret.Options{}, secret.Source{File: path})
		if text, err := secret.ReadText(path); err != nil || text.Reveal() != want {
			t.Errorf("ReadText of %q gave another text than %q, %v", content, want, err)
		}
		if current, err := store.Current(); err != nil || current.Value.Reveal() != want {
			t.Errorf("a file of %q gave another secret than %q, %v", content, want, err)
		}
	}
}

func TestAFileThatIsNoSecretAtStart(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		write(t, t.TempDir(), ""):                                       "empty",
		write(t, t.TempDir(), "\r\n"):                                   "empty",
		write(t, t.TempDir(), strings.Repeat("canary", secret.MaxSize)): "larger than 4096 bytes",
		filepath.Join(t.TempDir(), "missing"):                           "no such file",
		t.TempDir():                                                     "not a regular file",
		pipe:                                                            "not a regular file",
		"/dev/zero":                                                     "not a regular file",
	} {
		log := &logbook{}
		options := secret.Options{Organization: "acme", Logger: slog.New(slog.NewTextHandler(log, nil))}
		_, textErr := secret.ReadText(path)
		readyErr := open(t, options, secret.Source{File: path}).Ready()
		if !errors.Is(readyErr, secret.ErrUnavailable) {
			t.Errorf("%s: the store is ready: %v", path, readyErr)
		}
		for _, err := range []error{textErr, readyErr} {
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) ||
				strings.Contains(err.Error(), "canary") {
				t.Errorf("%s: %v; want an error with the path and %q", path, err, want)
			}
		}
		if log.count("event=outage_began") != 1 || log.count(want) != 1 {
			t.Errorf("%s: log: %s", path, log)
		}
	}
}

// How changes of a file are seen is watch's to test.
func TestAChangedFileIsTheNewSecret(t *testing.T) {
	t.Parallel()
	log := &logbook{}
	path := filepath.Join(t.TempDir(), "comes later")
	store := open(t, secret.Options{Logger: slog.New(slog.NewTextHandler(log, nil)), Follower: follower(t, log)}, secret.Source{File: path})
	check(t, os.WriteFile(path, []byte(firstSecret+"\n"), 0o600))
	<-store.Loaded()
	check(t, os.WriteFile(path, []byte(secondSecret+"\n"), 0o600))
	awaitSecret(t, store, secondSecret)
	if snapshot, err := store.Snapshot(); err != nil || snapshot.Previous.Value.Reveal() != firstSecret {
		t.Errorf("Snapshot() = %+v, %v; want the previous secret too", snapshot, err)
	}
	if log.count("signing secret loaded") != 2 {
		t.Errorf("log: %s", log)
	}
	log.assertNoCanary(t)
}

// Later the file may go wrong: the last good secret stays, the fault is logged and counted, and a
// good file is taken up again.
func TestALaterFaultOfTheFileKeepsTheLastGoodSecret(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		spoil  func(t *testing.T, path string)
		result string
	}{
		"empty":      {func(t *testing.T, path string) { t.Helper(); check(t, os.WriteFile(path, nil, 0o600)) }, "empty"},
		"newline":    {func(t *testing.T, path string) { t.Helper(); check(t, os.WriteFile(path, []byte("\n"), 0o600)) }, "empty"},
		"removed":    {func(t *testing.T, path string) { t.Helper(); check(t, os.Remove(path)) }, "missing"},
		"a loop":     {loop, "unreadable"},
		"a folder":   {folder, "unreadable"},
		"far larger": {large, "too_large"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := &logbook{}
			path := write(t, t.TempDir(), firstSecret)
			options := secret.Options{Organization: "acme", Logger: slog.New(slog.NewJSONHandler(log, nil)), Follower: follower(t, log)}
			store := open(t, options, secret.Source{File: path})
			test.spoil(t, path)
			await(t, func() bool {
				return metric(t, "chatidentity_secret_refresh_total", "result="+test.result, store) > 0 && log.count("reload rejected") > 0
			})
			if current, err := store.Current(); err != nil || current.Value.Reveal() != firstSecret {
				t.Errorf("Current() = %v, %v; want the last good secret", current, err)
			}
			if err := store.Ready(); err != nil {
				t.Errorf("Ready() = %v, want nil", err)
			}
			check(t, os.RemoveAll(path))
			check(t, os.WriteFile(path, []byte(secondSecret), 0o600))
			awaitSecret(t, store, secondSecret)
			log.assertNoCanary(t)
		})
	}
}

func loop(t *testing.T, path string) {
	t.Helper()
	check(t, os.Remove(path))
	check(t, os.Symlink(path, path))
}

func folder(t *testing.T, path string) {
	t.Helper()
	check(t, os.Remove(path))
	check(t, os.Mkdir(path, 0o700))
}

func large(t *testing.T, path string) {
	t.Helper()
	fresh := write(t, filepath.Dir(path), strings.Repeat("canary", secret.MaxSize))
	check(t, os.Rename(fresh, path))
}

// write makes a new file in the directory.
func write(t *testing.T, directory, content string) string {
	t.Helper()
	file, err := os.CreateTemp(directory, "fresh")
	check(t, err)
	_, err = file.WriteString(content)
	check(t, err)
	check(t, file.Close())
	return file.Name()
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func awaitSecret(t *testing.T, store *secret.Store, want string) {
	t.Helper()
	await(t, func() bool {
		current, err := store.Current()
		if err != nil {
			t.Fatalf("Current() failed during a change: %v", err)
		}
		return current.Value.Reveal() == want
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
			t.Fatalf("did not happen within %s", patience)
		}
	}
}
