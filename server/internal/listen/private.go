package listen

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A socket is made in a private directory beside its path: nobody else can reach it there before it
// has its mode.
const (
	privatePrefix = ".ci-"
	newName       = "s" // the socket that is being made
	oldName       = "o" // what was moved aside from its path
)

// removeLeftovers removes the private directories that killed processes left behind.
func removeLeftovers(ctx context.Context, parent string) {
	files, _ := os.ReadDir(parent) // at worst, what is left behind stays
	for _, file := range files {
		directory := filepath.Join(parent, file.Name())
		if file.IsDir() && strings.HasPrefix(file.Name(), privatePrefix) && isLeftover(ctx, directory) {
			removePrivate(directory)
		}
	}
}

// isLeftover reports whether nobody answers on the new socket in a private directory, which only its
// owner can find out. A process that is starting and has not made its socket yet loses its directory
// too, and begins again.
func isLeftover(ctx context.Context, directory string) bool {
	return checkPath(ctx, filepath.Join(directory, newName)) == nil
}

// removePrivate removes a private directory with the sockets in it, and nothing else that somebody
// put there.
func removePrivate(directory string) {
	for _, name := range []string{newName, oldName} {
		path := filepath.Join(directory, name)
		if info, err := os.Lstat(path); err == nil && info.Mode().Type() == fs.ModeSocket {
			_ = os.Remove(path)
		}
	}
	_ = os.Remove(directory)
}

// put moves the new socket of a private directory to its path. What is there gives way if it is a
// socket on which nobody answers.
func put(ctx context.Context, private, path string) error {
	const tries = 100 // each time, another process was faster
	for range tries {
		err := moveTo(filepath.Join(private, newName), path)
		if !errors.Is(err, fs.ErrExist) {
			return explainPrivate(filepath.Dir(path), err)
		}
		if err := moveAside(ctx, private, path); err != nil {
			return err
		}
	}
	return errAnswers
}

// moveAside removes a socket on which nobody answers. Another process may put a socket of its own
// there at any moment, so what is removed is moved to where no one else is and asked once more there.
func moveAside(ctx context.Context, private, path string) error {
	if err := checkPath(ctx, path); err != nil {
		return err
	}
	aside := filepath.Join(private, oldName)
	if err := os.Rename(path, aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return explain(filepath.Dir(path), err)
	}
	if err := checkPath(ctx, aside); err != nil {
		_ = moveTo(aside, path) // if a third one has taken the path, the owner is not live from now on
		return err
	}
	if err := os.Remove(aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return explain(filepath.Dir(path), err)
	}
	return nil
}

// linkTo is moveTo where a rename would replace what is there.
func linkTo(from, to string) error {
	if err := os.Link(from, to); err != nil {
		return err
	}
	return os.Remove(from)
}
