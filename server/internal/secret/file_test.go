package secret_test

import (
	"errors"
	"fmt"
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

// never is a poll that does not come: what takes effect was seen by the watch.
const never = time.Hour

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
		store, err := secret.NewFile(secret.Options{}, write(t, t.TempDir(), content), 0)
		if err != nil {
			t.Errorf("NewFile of %q: %v", content, err)
			continue
		}
		if current, err := store.Current(); err != nil || current.Value.Reveal() != want {
			t.Errorf("a file of %q gave another secret than %q, %v", content, want, err)
		}
	}
}

func TestAFileThatIsNoSecretIsToldAtStart(t *testing.T) {
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
		store, err := secret.NewFile(secret.Options{}, path, 0)
		if !errors.Is(store.Ready(), secret.ErrUnavailable) {
			t.Errorf("NewFile(%s): the store is ready: %v", path, store.Ready())
		}
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) ||
			strings.Contains(err.Error(), "canary") {
			t.Errorf("NewFile(%s): %v; want an error with the path and %q", path, err, want)
		}
	}
}

func TestKeyFileIsReadEachTime(t *testing.T) {
	t.Parallel()
	path := write(t, t.TempDir(), "first\n")
	key := secret.KeyFile(path)
	for _, want := range []string{"first", "second"} {
		if err := os.WriteFile(path, []byte(want+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := key(); err != nil || got.Reveal() != want {
			t.Errorf("the key file gave another key than %q, %v", want, err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := key(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing key file: %v", err)
	}
}

// Each way in which a file is changed takes effect by the watch alone.
func TestChangesOfAFileAreSeen(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(t *testing.T, path, content string){
		"renamed over": func(t *testing.T, path, content string) {
			t.Helper()
			fresh := write(t, filepath.Dir(path), content)
			check(t, os.Rename(fresh, path))
		},
		"written in place": func(t *testing.T, path, content string) {
			t.Helper()
			check(t, os.WriteFile(path, []byte(content), 0o600))
		},
		"removed and made": func(t *testing.T, path, content string) {
			t.Helper()
			check(t, os.Remove(path))
			check(t, os.WriteFile(path, []byte(content), 0o600))
		},
		"symlink replaced": func(t *testing.T, path, content string) {
			t.Helper()
			link := path + ".link"
			check(t, os.Symlink(write(t, t.TempDir(), content), link))
			check(t, os.Rename(link, path))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := write(t, t.TempDir(), firstSecret)
			store, err := secret.NewFile(secret.Options{}, path, never)
			check(t, err)
			run(t, store)
			for round := range 10 {
				want := fmt.Sprintf("%s-%d", secondSecret, round)
				change(t, path, want)
				awaitSecret(t, store, want)
			}
		})
	}
}

// A Kubernetes Secret volume: key -> ..data/key, ..data -> ..<time>, and an update
// renames a new ..data over the old. The second and the tenth count as the first.
func TestTenSwapsOfDotDotDataTakeEffect(t *testing.T) {
	t.Parallel()
	volume := t.TempDir()
	swap(t, volume, 0, firstSecret)
	check(t, os.Symlink(filepath.Join("..data", "key"), filepath.Join(volume, "key")))
	store, err := secret.NewFile(secret.Options{}, filepath.Join(volume, "key"), never)
	check(t, err)
	run(t, store)
	for round := 1; round <= 10; round++ {
		want := fmt.Sprintf("%s-%d", secondSecret, round)
		swap(t, volume, round, want)
		awaitSecret(t, store, want)
	}
}

func TestAChangeWithoutAnEventIsFoundByPolling(t *testing.T) {
	t.Parallel()
	target := write(t, t.TempDir(), firstSecret)
	link := filepath.Join(t.TempDir(), "key")
	check(t, os.Symlink(target, link))
	store, err := secret.NewFile(secret.Options{}, link, 10*time.Millisecond)
	check(t, err)
	run(t, store)
	check(t, os.WriteFile(target, []byte(secondSecret), 0o600))
	awaitSecret(t, store, secondSecret)
}

// Later the file may go wrong: the last good secret stays, the fault is logged and
// counted, and a good file is taken up again.
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
			store, err := secret.NewFile(secret.Options{Organization: "acme", Logger: slog.New(slog.NewJSONHandler(log, nil))}, path, never)
			check(t, err)
			run(t, store)
			test.spoil(t, path)
			await(t, func() bool {
				return metric(t, "chatidentity_secret_refresh_total", "result="+test.result, store) > 0 && log.count("could not be refreshed") > 0
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

// swap makes round number round of a volume, as the kubelet does.
func swap(t *testing.T, volume string, round int, content string) {
	t.Helper()
	fresh := fmt.Sprintf("..2026_11_23_%d", round)
	check(t, os.Mkdir(filepath.Join(volume, fresh), 0o700))
	check(t, os.WriteFile(filepath.Join(volume, fresh, "key"), []byte(content), 0o600))
	check(t, os.Symlink(fresh, filepath.Join(volume, "..data_tmp")))
	check(t, os.Rename(filepath.Join(volume, "..data_tmp"), filepath.Join(volume, "..data")))
	if round > 0 {
		check(t, os.RemoveAll(filepath.Join(volume, fmt.Sprintf("..2026_11_23_%d", round-1))))
	}
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

// What else is written beside the secret, such as an audit file, reads nothing.
func TestOtherFilesOfTheDirectoryAreNoChange(t *testing.T) {
	t.Parallel()
	path := write(t, t.TempDir(), firstSecret)
	store, err := secret.NewFile(secret.Options{}, path, never)
	check(t, err)
	store.WithoutPauses()
	run(t, store)
	awaitSecret(t, store, firstSecret)
	before := metric(t, "chatidentity_secret_refresh_total", "result=ok", store)
	for range 50 {
		check(t, os.WriteFile(path+".jsonl", []byte("record"), 0o600))
	}
	// The watch tells events in order: once this one is seen, the others were.
	check(t, os.WriteFile(path, []byte(secondSecret), 0o600))
	awaitSecret(t, store, secondSecret)
	if after := metric(t, "chatidentity_secret_refresh_total", "result=ok", store); after-before > 10 {
		t.Errorf("read %v times for one change", after-before)
	}
}
