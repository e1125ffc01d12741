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

// answerTimeout bounds the dial that finds out whether an address is in use. Without it, a socket
// whose queue is full would block the start for ever.
const answerTimeout = 2 * time.Second

// maxSocketPath is the longest path that can be dialed, in bytes.
const maxSocketPath = 107

var (
	// errTooLong leaves room for the name of the private directory.
	errTooLong   = errors.New("the socket's path is too long: choose one of at most 90 bytes")
	errNotSocket = errors.New("something is there that is not a socket: remove it or choose another path")
)

// openSocket makes a socket that is complete when it appears at its path: it is made in a private
// directory beside the path, given its mode, and moved into place. A socket that is already there
// is replaced only if nobody answers on it. There is no lock: of two processes, the second finds the
// path taken.
func openSocket(ctx context.Context, path string, mode fs.FileMode) (*socket, error) {
	const tries = 100 // each time, another process took the private directory for a leftover
	for range tries {
		made, err := makeAndPut(ctx, path, mode, put)
		if errors.Is(err, errDisturbed) {
			continue
		}
		if err == nil {
			removeLeftovers(ctx, filepath.Dir(path)) // earlier, two that start would disturb each other again and again
		}
		return made, err
	}
	return nil, errDisturbed
}

// probeSocket returns the error that openSocket would. It does not touch what is at the path.
func probeSocket(ctx context.Context, path string, mode fs.FileMode) (*socket, error) {
	return makeAndPut(ctx, path, mode, func(context.Context, string, string) error { return nil })
}

var errDisturbed = errors.New("other processes keep starting in the socket's directory: try again")

// makeAndPut makes a socket in a private directory, from which put moves it to its path.
func makeAndPut(
	ctx context.Context, path string, mode fs.FileMode, put func(ctx context.Context, private, path string) error,
) (*socket, error) {
	if len(path) > maxSocketPath {
		return nil, errTooLong
	}
	if err := checkPath(ctx, path); err != nil {
		return nil, err
	}
	parent := filepath.Dir(path)
	private, err := os.MkdirTemp(parent, privatePrefix+"*") // mode 0700
	if err != nil {
		return nil, explain(parent, err)
	}
	defer removePrivate(private)
	made, err := makeSocket(ctx, filepath.Join(private, newName), mode)
	if err != nil {
		return nil, explainPrivate(parent, err)
	}
	made.path = path
	if err := put(ctx, private, path); err != nil {
		_ = made.Close()
		return nil, err
	}
	return made, nil
}

// explainPrivate is explain for what was done in a private directory. If something is missing there,
// another process removed it.
func explainPrivate(parent string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return errDisturbed
	}
	return explain(parent, err)
}

// explain says what to do about a directory in which no socket can be made. It never names the
// private directory.
func explain(directory string, err error) error {
	switch cause := reason(err); {
	case cause == nil:
		return nil
	case errors.Is(cause, fs.ErrNotExist):
		return fmt.Errorf("its directory %s does not exist: create it, writable for user %d", directory, os.Getuid())
	case errors.Is(cause, syscall.EINVAL):
		return errTooLong
	default:
		return fmt.Errorf("cannot make a socket in %s: %w: the directory must be readable and writable for user %d",
			directory, cause, os.Getuid())
	}
}

// checkPath returns nil if a socket can be put at path: nothing is there, or a socket on which
// nobody answers. Otherwise the error says what to do. It does not name the path.
func checkPath(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("look at the socket: %w", reason(err))
	case info.Mode().Type() != fs.ModeSocket:
		return errNotSocket
	}
	conn, err := (&net.Dialer{Timeout: answerTimeout}).DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		_ = conn.Close()
		return errAnswers
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return nil
	default:
		return fmt.Errorf("cannot tell whether the socket is in use: %w: stop what listens there, or remove it", reason(err))
	}
}

// reason is an error without the path that it names.
func reason(err error) error {
	if cause, ok := errors.AsType[syscall.Errno](err); ok {
		return cause
	}
	return err
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

// isInPlace reports whether callers reach this socket by its path.
func (s *socket) isInPlace() bool {
	there, err := os.Lstat(s.path)
	return err == nil && os.SameFile(there, s.made)
}

func (s *socket) Close() error {
	s.closing.Do(func() {
		if s.isInPlace() {
			_ = os.Remove(s.path)
		}
	})
	return s.Listener.Close()
}
