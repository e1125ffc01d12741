// Package watch reads the files that an operator configures, and follows them: each is a value that
// stays current while its files change, and keeps the last good version when they go wrong.
package watch

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// maxSize bounds a file, in bytes.
const maxSize = 1 << 20

// Why a file that exists cannot be used. Errors wrap these with the path.
var (
	ErrEmpty      = errors.New("the file is empty")
	ErrTooLarge   = errors.New("the file is larger than 1 MiB")
	ErrNotRegular = errors.New("not a regular file")
)

// ReadFile returns the content of a regular file of 1 byte to 1 MiB. It never waits, not even for
// the writer of a pipe. Errors name the path and hold nothing of the content.
func ReadFile(path string) ([]byte, error) {
	// Without O_NONBLOCK, opening a pipe waits for its writer.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, withKeys(path, err)
	}
	defer file.Close() //nolint:errcheck // nothing was written
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w", path, ErrNotRegular)
	}
	content, err := io.ReadAll(io.LimitReader(file, maxSize+1))
	switch {
	case err != nil:
		return nil, err
	case len(content) == 0: // no setting has an empty file; one being written in place is empty for a moment
		return nil, fmt.Errorf("%s: %w", path, ErrEmpty)
	case len(content) > maxSize:
		return nil, fmt.Errorf("%s: %w", path, ErrTooLarge)
	default:
		return content, nil
	}
}

// maxKeys is how many keys of a volume an error names.
const maxKeys = 5

// withKeys says of a file that is missing in a volume of Kubernetes which keys the volume has: a
// Secret with another key would otherwise look like no Secret.
func withKeys(path string, err error) error {
	directory := filepath.Dir(path)
	if _, linked := os.Readlink(filepath.Join(directory, "..data")); linked != nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var keys []string
	entries, _ := os.ReadDir(directory) // an error is one more reason to say nothing
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), "..") {
			keys = append(keys, entry.Name())
		}
	}
	switch {
	case len(keys) == 0:
		return fmt.Errorf("%w: there is no such Secret, or it has no keys", err)
	case len(keys) > maxKeys:
		keys = append(keys[:maxKeys], "...")
	}
	return fmt.Errorf("%w: the Secret has other keys: %s", err, strings.Join(keys, ", "))
}
