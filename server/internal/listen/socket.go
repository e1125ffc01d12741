package listen

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// answerTimeout bounds the dial that finds out whether a socket is in use. Without it, a socket
// whose queue is full would block the start for ever.
const answerTimeout = 2 * time.Second

// maxSocketPath is the longest path that can be dialed, in bytes.
const maxSocketPath = 107

// errTooLong leaves room for the name of the private directory.
var errTooLong = errors.New("the socket's path is too long: choose one of at most 90 bytes")

// openSocket makes a socket that is complete when it appears at its path: it is made in a private
// directory beside the path, given its mode, and moved into place. A socket that is already there
// is replaced only if nothing answers on it. The directory is locked meanwhile, so that of two
// processes one gives way.
func openSocket(
	ctx context.Context, path string, mode fs.FileMode, move func(from, to string) error,
) (net.Listener, error) {
	if len(path) > maxSocketPath {
		return nil, errTooLong
	}
	parent := filepath.Dir(path)
	locked, err := lockDirectory(ctx, parent)
	if err != nil {
		return nil, explain(parent, err)
	}
	defer locked.Close() //nolint:errcheck // releases the lock; nothing was written
	if err := checkPath(ctx, path); err != nil {
		return nil, err
	}
	private, err := os.MkdirTemp(parent, ".ci-*") // mode 0700
	if err != nil {
		return nil, explain(parent, err)
	}
	defer os.RemoveAll(private) //nolint:errcheck // at worst, an empty directory remains
	unfinished := filepath.Join(private, "s")
	made, err := makeSocket(ctx, unfinished, mode)
	if err != nil {
		return nil, explain(parent, err)
	}
	made.path = path
	if err := move(unfinished, path); err != nil {
		return nil, errors.Join(explain(parent, err), made.Close())
	}
	return made, nil
}

// leaveInPlace is for a socket that is only made to see whether it can be.
func leaveInPlace(string, string) error { return nil }

// explain says what to do about a directory in which no socket can be made. It never names the
// private directory.
func explain(directory string, err error) error {
	if cause, ok := errors.AsType[syscall.Errno](err); ok {
		err = cause
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("its directory %s does not exist: create it, writable for user %d", directory, os.Getuid())
	case errors.Is(err, syscall.EWOULDBLOCK):
		return fmt.Errorf("another process has locked its directory %s: stop it or choose another directory", directory)
	case errors.Is(err, syscall.EINVAL):
		return errTooLong
	default:
		return fmt.Errorf("cannot make a socket in %s: %w: the directory must be readable and writable for user %d",
			directory, err, os.Getuid())
	}
}

// checkPath returns nil if a socket can be put at path: nothing is there, or a socket on which
// nobody answers. Otherwise the error says what to do.
func checkPath(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("look at socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return errors.New("something is there that is not a socket: remove it or choose another path")
	}
	conn, err := (&net.Dialer{Timeout: answerTimeout}).DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		_ = conn.Close()
		return errInUse
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil
	default:
		return fmt.Errorf("cannot tell whether the socket is in use: %w: stop what listens there, or remove it", err)
	}
}

// socket removes its path when it closes, unless another file has taken its place.
type socket struct {
	net.Listener
	path    string
	made    fs.FileInfo
	closing sync.Once
}

func makeSocket(ctx context.Context, path string, mode fs.FileMode) (*socket, error) {
	inner, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if l, ok := inner.(*net.UnixListener); ok {
		l.SetUnlinkOnClose(false) // it would unlink the name under which it was made
	}
	if err := os.Chmod(path, mode); err != nil {
		return nil, errors.Join(err, inner.Close())
	}
	made, err := os.Lstat(path)
	if err != nil {
		return nil, errors.Join(err, inner.Close())
	}
	return &socket{Listener: inner, made: made}, nil
}

// Addr returns the path that callers use.
func (s *socket) Addr() net.Addr { return &net.UnixAddr{Name: s.path, Net: "unix"} }

func (s *socket) Close() error {
	s.closing.Do(func() {
		if there, err := os.Lstat(s.path); err == nil && os.SameFile(there, s.made) {
			_ = os.Remove(s.path)
		}
	})
	return s.Listener.Close()
}
