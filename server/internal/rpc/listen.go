package rpc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// answerTimeout bounds the look at a socket that is there: one whose queue is
// full lets a caller wait for ever.
const answerTimeout = 2 * time.Second

// Listen opens a listener on network tcp or unix. A socket gets the mode
// whatever the umask; see listenUnix.
func Listen(ctx context.Context, network, address string, socketMode fs.FileMode) (net.Listener, error) {
	if network == "unix" {
		return listenUnix(ctx, address, socketMode)
	}
	var config net.ListenConfig
	return config.Listen(ctx, network, address)
}

// listenUnix makes a socket that appears at its path finished: it is made in a
// private directory beside the path, given its mode, and moved into place. A
// socket that is there already is replaced only if nothing answers on it. The
// directory stays locked meanwhile, so that of two processes one gives way.
func listenUnix(ctx context.Context, path string, mode fs.FileMode) (net.Listener, error) {
	directory, err := lockDirectory(ctx, filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer directory.Close() //nolint:errcheck // releases the lock; nothing was written
	if err := CheckSocketPath(ctx, path); err != nil {
		return nil, err
	}
	private, err := os.MkdirTemp(filepath.Dir(path), ".ci-*") // of mode 0700
	if err != nil {
		return nil, fmt.Errorf("make socket: %w", err)
	}
	defer os.RemoveAll(private) //nolint:errcheck // an empty directory is left at worst
	unfinished := filepath.Join(private, "s")
	inner, err := (&net.ListenConfig{}).Listen(ctx, "unix", unfinished)
	if err != nil {
		return nil, fmt.Errorf("make socket: %w", err)
	}
	listener := &unixListener{Listener: inner, path: path}
	if l, ok := inner.(*net.UnixListener); ok {
		l.SetUnlinkOnClose(false) // it would unlink the name that it was made under
	}
	if err := listener.moveIntoPlace(unfinished, mode); err != nil {
		return nil, errors.Join(fmt.Errorf("make socket: %w", err), inner.Close())
	}
	return listener, nil
}

// CheckSocketPath returns nil when a socket can be made at path: nothing is
// there, or a socket on which nobody answers. Else it says what to do.
func CheckSocketPath(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("look at socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is there and is not a socket: remove it or choose another path", path)
	}
	conn, err := (&net.Dialer{Timeout: answerTimeout}).DialContext(ctx, "unix", path)
	if err == nil {
		_ = conn.Close()
		return fmt.Errorf("%s is in use (by a running sidecar?): stop what listens there, or choose another path", path)
	}
	if !isConnectionRefused(err) {
		return fmt.Errorf("%s cannot be tried: %w", path, err)
	}
	return nil
}

// unixListener removes its socket when it closes, if it is still its own.
type unixListener struct {
	net.Listener
	path    string
	made    fs.FileInfo
	closing sync.Once
}

func (l *unixListener) moveIntoPlace(unfinished string, mode fs.FileMode) error {
	if err := os.Chmod(unfinished, mode); err != nil {
		return err
	}
	made, err := os.Lstat(unfinished)
	if err != nil {
		return err
	}
	l.made = made
	return os.Rename(unfinished, l.path)
}

// Addr returns the path that callers use.
func (l *unixListener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

func (l *unixListener) Close() error {
	l.closing.Do(func() {
		if there, err := os.Lstat(l.path); err == nil && os.SameFile(there, l.made) {
			_ = os.Remove(l.path)
		}
	})
	return l.Listener.Close()
}
