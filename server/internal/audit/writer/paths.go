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

// rotatedFiles returns the rotated files that are not empty, the oldest first.
func (o *Options) rotatedFiles() ([]string, error) {
	entries, err := o.disk.readDir(filepath.Dir(o.File))
	if err != nil {
		return nil, err
	}
	var rotated []string
	for _, entry := range entries { // sorted by name, which is by time
		if _, ok := stampOf(o.File, entry.Name()); !ok {
			continue
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() && info.Size() > 0 {
			rotated = append(rotated, filepath.Join(filepath.Dir(o.File), entry.Name()))
		}
	}
	return rotated, nil
}

// lastRotated returns the newest rotated file, or "".
func (o *Options) lastRotated() (string, error) {
	rotated, err := o.rotatedFiles()
	if err != nil || len(rotated) == 0 {
		return "", err
	}
	return rotated[len(rotated)-1], nil
}

// stampOf returns when a file was rotated, if name is one that rotatedPath makes of path.
func stampOf(path, name string) (time.Time, bool) {
	before, after, _ := strings.Cut(filepath.Base(rotatedPath(path, "\x00")), "\x00")
	rest, ok := strings.CutPrefix(name, before)
	text, ok2 := strings.CutSuffix(rest, after)
	stamp, err := time.Parse(stampFormat, text)
	return stamp, ok && ok2 && err == nil
}

// nextStamp returns now, or a moment after the newest rotated file if that is later, as it is after
// the clock was set back: the files are in the order of their records all the same.
func (o *Options) nextStamp() (time.Time, error) {
	now := o.Now()
	last, err := o.lastRotated()
	if err != nil || last == "" {
		return now, err
	}
	if stamp, _ := stampOf(o.File, filepath.Base(last)); !stamp.Before(now.Truncate(time.Microsecond)) {
		now = stamp.Add(time.Microsecond)
	}
	return now, nil
}

// createStamped makes the first file that does not exist yet of those that name gives to a time and
// the microseconds after it, and returns its path.
func createStamped(
	d disk, path string, name func(path, stamp string) string, at time.Time,
) (file, string, error) {
	for ; ; at = at.Add(time.Microsecond) {
		stamped := name(path, at.UTC().Format(stampFormat))
		f, err := d.openFile(stamped, os.O_CREATE|os.O_EXCL|os.O_WRONLY)
		if !errors.Is(err, fs.ErrExist) {
			return f, stamped, err
		}
	}
}

// renameStamped renames the file at path likewise. It makes the new name first, because a rename
// would overwrite an existing file.
func renameStamped(d disk, path string, name func(path, stamp string) string, at time.Time) error {
	f, stamped, err := createStamped(d, path, name, at)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Close(), d.rename(path, stamped)); err != nil {
		return errors.Join(err, d.remove(stamped))
	}
	return d.syncDir(filepath.Dir(path))
}
