package watch

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A volume of Kubernetes without the file says which keys it has: a Secret with another key would
// otherwise look like none.
func TestAMissingFileOfAVolume(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		volume bool
		keys   string
		want   string
	}{
		"other keys":      {true, "token other", ": the Secret has other keys: other, token"},
		"many other keys": {true, "f e d c b a", ": the Secret has other keys: a, b, c, d, e, ..."},
		"no keys":         {true, "", ": there is no such Secret, or it has no keys"},
		"no volume":       {false, "token", "no such file or directory"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			directory := t.TempDir()
			for key := range strings.FieldsSeq(test.keys) {
				write(t, filepath.Join(directory, key), "canary")
			}
			if test.volume {
				check(t, os.Mkdir(filepath.Join(directory, "..2026"), 0o700))
				check(t, os.Symlink("..2026", filepath.Join(directory, "..data")))
			}
			_, err := ReadFile(filepath.Join(directory, "secret"))
			if err == nil || !strings.HasSuffix(err.Error(), test.want) || !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("error %v, want one that ends in %q", err, test.want)
			}
		})
	}
}
