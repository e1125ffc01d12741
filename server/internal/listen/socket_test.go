//go:build unix

package listen_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/listen"
)

func TestSocketHasItsModeWhateverTheUmask(t *testing.T) { //nolint:paralleltest // the umask is the process's
	before := syscall.Umask(0o777)
	defer syscall.Umask(before)
	directory := t.TempDir()
	if err := os.Chmod(directory, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []fs.FileMode{0o660, 0o600, 0o666} {
		path := filepath.Join(directory, fmt.Sprintf("%o", mode))
		listener, err := openSocketAt(t, path, mode)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("mode %v, error %v; want %v", info.Mode(), err, mode)
		}
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the socket stays after the end: %v", err)
		}
	}
	if left, err := os.ReadDir(directory); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, error %v", left, err)
	}
}

func TestSocketPathThatIsTaken(t *testing.T) {
	t.Parallel()
	t.Run("a stale socket is replaced", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "s")
		stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
		if err != nil {
			t.Fatal(err)
		}
		stale.SetUnlinkOnClose(false)
		stale.Close()
		listener, err := openSocketAt(t, path, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		if conn, err := (&net.Dialer{}).DialContext(t.Context(), "unix", path); err != nil {
			t.Error(err)
		} else {
			conn.Close()
		}
	})
	t.Run("a socket that answers stays", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "s")
		first, err := openSocketAt(t, path, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer first.Close()
		err = openInVain(t, listen.Address{Network: "unix", Address: path, SocketMode: 0o600})
		if err == nil || !strings.Contains(err.Error(), "in use") {
			t.Errorf("error %v, want one that says that it is in use", err)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Error(err)
		}
	})
	t.Run("a file stays", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "s")
		if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := openSocketAt(t, path, 0o600); err == nil || !strings.Contains(err.Error(), "not a socket") {
			t.Errorf("error %v, want one that says that it is not a socket", err)
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != "precious" {
			t.Errorf("%q, error %v", text, err)
		}
	})
	t.Run("a socket whose queue is full does not hold up the start", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "s")
		fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer syscall.Close(fd)
		if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}), syscall.Listen(fd, 0)); err != nil {
			t.Fatal(err)
		}
		first, err := net.Dial("unix", path) // takes the only place, and is never accepted
		if err != nil {
			t.Fatal(err)
		}
		defer first.Close()
		if _, err := openSocketAt(t, path, 0o600); err == nil || !strings.Contains(err.Error(), "in use") {
			t.Error("it may be replaced")
		}
		if _, err := os.Lstat(path); err != nil {
			t.Error(err)
		}
	})
	t.Run("somebody else's new socket is not removed", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "s")
		first, err := openSocketAt(t, path, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		second, err := openSocketAt(t, path, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer second.Close()
		if err := first.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("the first one removed the second's socket: %v", err)
		}
	})
}

// A path may have as many bytes as can be dialed.
func TestTheLongestPath(t *testing.T) {
	t.Parallel()
	directory := t.TempDir() + "/"
	for length, want := range map[int]string{107: "", 108: "too long"} {
		path := directory + strings.Repeat("x", length-len(directory))
		opened, err := openSocketAt(t, path, 0o600)
		if want != "" {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%d bytes: error %v", length, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%d bytes: %v", length, err)
		}
		dialed, err := net.Dial("unix", path)
		if err != nil {
			t.Errorf("%d bytes: %v", length, err)
		} else {
			dialed.Close()
		}
		opened.Close()
	}
}
