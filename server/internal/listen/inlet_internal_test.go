//go:build unix

package listen

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A socket that is lost is not live until it is made anew. Connections that are open stay.
func TestALostSocketIsMadeAnew(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(path string) error{
		"removed":  os.Remove,
		"replaced": func(path string) error { return errors.Join(os.Remove(path), leaveSocketAt(path)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in, log := openInlet(t)
			before := connect(t, in)
			if err := in.lost(); err != nil {
				t.Errorf("at first: %v", err)
			}
			if err := lose(in.address.Address); err != nil {
				t.Fatal(err)
			}
			if err := in.lost(); !errors.Is(err, errLost) || !strings.Contains(err.Error(), in.address.Address) {
				t.Errorf("lost, but it says %v", err)
			}
			in.mend(t.Context())
			if err := in.lost(); err != nil {
				t.Errorf("made anew, but it says %v", err)
			}
			connect(t, in)
			if _, err := before.Write([]byte("x")); err != nil {
				t.Errorf("the connection from before: %v", err)
			}
			if lines := strings.Count(log.String(), "\n"); lines != 1 {
				t.Errorf("%d lines were logged:\n%s", lines, log)
			}
		})
	}
}

// Another process that serves in its place keeps it until it ends; that is said once.
func TestALostSocketThatAnotherServes(t *testing.T) {
	t.Parallel()
	in, log := openInlet(t)
	if err := os.Remove(in.address.Address); err != nil {
		t.Fatal(err)
	}
	other, err := openSocket(t.Context(), in.address.Address, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	in.mend(t.Context())
	in.mend(t.Context())
	if err := in.lost(); !errors.Is(err, errAnswers) || !other.isInPlace() {
		t.Errorf("it says %v", err)
	}
	other.Close()
	in.mend(t.Context())
	if err := in.lost(); err != nil {
		t.Error(err)
	}
	connect(t, in)
	if lines := strings.Count(log.String(), "\n"); lines != 2 {
		t.Errorf("%d lines were logged:\n%s", lines, log)
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(in.address.Address); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket stays after the end: %v", err)
	}
}

// A socket is removed when the inlet closes: it is not lost, and not made anew.
func TestAClosedInletStaysClosed(t *testing.T) {
	t.Parallel()
	in, log := openInlet(t)
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	in.mend(t.Context())
	if _, err := os.Lstat(in.address.Address); !errors.Is(err, fs.ErrNotExist) || log.String() != "" {
		t.Errorf("the socket is there again: %v, logged: %s", err, log)
	}
	if _, err := in.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accepted from a closed inlet: %v", err)
	}
}

// replaced is a socket that another takes the place of while a newcomer is awaited.
type replaced struct {
	net.Listener
	by func()
}

func (r *replaced) Accept() (net.Conn, error) { r.by(); return nil, net.ErrClosed }

func TestAcceptGoesOnWithTheNewSocket(t *testing.T) {
	t.Parallel()
	in, _ := openInlet(t)
	anew := in.current
	in.current = &replaced{anew, func() {
		in.mu.Lock()
		defer in.mu.Unlock()
		in.current = anew
	}}
	connect(t, in)
}

func openInlet(t *testing.T) (*inlet, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	address := Address{Network: "unix", Address: filepath.Join(t.TempDir(), "s"), SocketMode: 0o600}
	opened, err := openSocket(t.Context(), address.Address, address.SocketMode)
	if err != nil {
		t.Fatal(err)
	}
	in := &inlet{address: address, log: slog.New(slog.NewTextHandler(&log, nil)), current: opened}
	t.Cleanup(func() { in.Close() })
	return in, &log
}

// connect returns a connection that the inlet accepted.
func connect(t *testing.T, in *inlet) net.Conn {
	t.Helper()
	dialed, err := net.Dial("unix", in.address.Address)
	if err != nil {
		t.Fatal(err)
	}
	CloseIfStuck(t, in, dialed)
	accepted, err := in.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialed.Close(); accepted.Close() })
	return dialed
}

func leaveSocketAt(path string) error {
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		return err
	}
	stale.SetUnlinkOnClose(false)
	return stale.Close()
}
