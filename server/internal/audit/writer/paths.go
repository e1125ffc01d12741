package writer

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// instanceMark stands for Options.Instance in the path of the audit file.
const instanceMark = "{instance}"

// stampFormat sorts by time, so that a shell lists rotated files in order.
const stampFormat = "20060102T150405.000000Z"

// Files beside the audit file, named after it.

func lockPath(path string) string { return path + ".lock" }

// tornPath holds what a crash left behind the last whole record.
func tornPath(path, stamp string) string { return path + ".torn-" + stamp }

// alteredPath holds what somebody else put in the place of the audit file.
func alteredPath(path, stamp string) string { return path + ".altered-" + stamp }

// untrustedPath holds what ends in a record that the log has not written.
func untrustedPath(path, stamp string) string { return path + ".untrusted-" + stamp }

// rotatedPath puts the stamp before the extension: `audit*.jsonl` lists the rotated files in order
// and the current one last.
func rotatedPath(path, stamp string) string {
	ext := filepath.Ext(path)
	return strings.TrimSuffix(path, ext) + "-" + stamp + ext
}

// rotatedFiles returns the rotated files of path that are not empty, the oldest first.
func rotatedFiles(path string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	var rotated []string
	for _, entry := range entries { // sorted by name, which is by time
		if !isRotated(path, entry.Name()) {
			continue
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() && info.Size() > 0 {
			rotated = append(rotated, filepath.Join(filepath.Dir(path), entry.Name()))
		}
	}
	return rotated, nil
}

// lastRotated returns the newest rotated file of path, or "".
func lastRotated(path string) (string, error) {
	rotated, err := rotatedFiles(path)
	if err != nil || len(rotated) == 0 {
		return "", err
	}
	return rotated[len(rotated)-1], nil
}

// isRotated reports whether name is one that rotatedPath makes of path.
func isRotated(path, name string) bool {
	before, after, _ := strings.Cut(filepath.Base(rotatedPath(path, "\x00")), "\x00")
	rest, ok := strings.CutPrefix(name, before)
	stamp, ok2 := strings.CutSuffix(rest, after)
	_, err := time.Parse(stampFormat, stamp)
	return ok && ok2 && err == nil
}

// createStamped makes the first file that does not exist yet of those that name gives to now and
// the microseconds after it.
func createStamped(path string, name func(path, stamp string) string, now time.Time) (*os.File, error) {
	for ; ; now = now.Add(time.Microsecond) {
		stamped := name(path, now.UTC().Format(stampFormat))
		f, err := os.OpenFile(stamped, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // beside the operator's path
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
	}
}

// renameStamped renames the file at path likewise. It makes the new name first, because a rename
// would overwrite an existing file.
func renameStamped(path string, name func(path, stamp string) string, now time.Time) error {
	f, err := createStamped(path, name, now)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Close(), os.Rename(path, f.Name())); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(path)
}
