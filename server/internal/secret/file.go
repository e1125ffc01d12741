package secret

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

// errNotRegular refuses pipes and devices: they cannot be read again.
var errNotRegular = errors.New("it is not a regular file")

// readFile reads a value of up to MaxSize bytes. One trailing newline, "\n" or
// "\r\n", is dropped, since editors and echo add it; nothing else is.
func readFile(path string) (sensitive.String, error) {
	// Without O_NONBLOCK opening a pipe waits for a writer.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) //nolint:gosec // the operator names the file
	if err != nil {
		return sensitive.String{}, err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return sensitive.String{}, err
	}
	if !info.Mode().IsRegular() {
		return sensitive.String{}, fmt.Errorf("%s: %w", path, errNotRegular)
	}
	content, err := io.ReadAll(io.LimitReader(file, MaxSize+3))
	if err != nil {
		return sensitive.String{}, err
	}
	text, found := strings.CutSuffix(string(content), "\n")
	if found {
		text = strings.TrimSuffix(text, "\r")
	}
	value := sensitive.New(text)
	if err := check(value); err != nil {
		return sensitive.String{}, fmt.Errorf("%s: %w", path, err)
	}
	return value, nil
}

// KeyFile returns the API key in a file, for kustomer.Options: it reads the file
// each time, so a changed key is followed. Bounds and trailing newline are as for
// a secret's file.
func KeyFile(path string) func() (sensitive.String, error) {
	return func() (sensitive.String, error) { return readFile(path) }
}
