package watch

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestReadFile(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	path := func(name string) string { return filepath.Join(directory, name) }
	write(t, path("good"), "canary")
	write(t, path("full"), strings.Repeat("c", maxSize))
	write(t, path("large"), strings.Repeat("canary", maxSize))
	write(t, path("empty"), "")
	check(t, syscall.Mkfifo(path("pipe"), 0o600))
	check(t, os.Symlink(path("good"), path("link")))
	check(t, os.Symlink(path("loop"), path("loop")))
	for name, test := range map[string]struct {
		size int
		want error
	}{
		path("good"):    {6, nil},
		path("link"):    {6, nil},
		path("full"):    {maxSize, nil},
		path("large"):   {0, ErrTooLarge},
		path("empty"):   {0, ErrEmpty},
		path("pipe"):    {0, ErrNotRegular},
		path("loop"):    {0, syscall.ELOOP},
		path("missing"): {0, fs.ErrNotExist},
		directory:       {0, ErrNotRegular},
		"/dev/zero":     {0, ErrNotRegular},
	} {
		content, err := ReadFile(name)
		if len(content) != test.size || !errors.Is(err, test.want) {
			t.Errorf("%s: %d bytes, error %v", name, len(content), err)
		}
		if err != nil && (!strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "canary")) {
			t.Errorf("the error must name the path and no content: %v", err)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	check(t, os.WriteFile(path, []byte(text), 0o600))
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
