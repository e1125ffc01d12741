package listen_test

import (
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/listen"
)

// Open and Probe report the same error for an address that cannot be opened, and say what to do.
func TestAnAddressThatCannotBeOpened(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	directory := t.TempDir()
	socket := filepath.Join(directory, "taken")
	busy, err := openSocketAt(t, socket, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { busy.Close() })
	file := filepath.Join(directory, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		network, address, want string
	}{
		"a port in use":               {"tcp", taken.Addr().String(), "in use: something answers there"},
		"an address elsewhere":        {"tcp", "192.0.2.1:1", "not an address of this machine"},
		"a socket in use":             {"unix", socket, "in use: something answers there"},
		"a file":                      {"unix", file, "not a socket: remove it"},
		"no directory":                {"unix", "/no/such/s", "/no/such does not exist: create it"},
		"a file for a directory":      {"unix", filepath.Join(file, "s"), "not a directory"},
		"a path too long for sockets": {"unix", filepath.Join(directory, strings.Repeat("x", 107)), "too long"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := listen.Address{Network: test.network, Address: test.address, SocketMode: 0o600}
			opening := openInVain(t, address)
			for what, err := range map[string]error{"Open": opening, "Probe": listen.Probe(t.Context(), address)[0]} {
				if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), ".ci-") {
					t.Errorf("%s: error %v, want one with %q that does not name the private directory", what, err, test.want)
				}
			}
		})
	}
}

// openInVain returns the error of Open, which waits by a clock that the test does not wait for.
func openInVain(t *testing.T, address listen.Address) error {
	t.Helper()
	var err error
	synctest.Test(t, func(t *testing.T) {
		var opened *listen.Listener
		if opened, err = listen.Open(t.Context(), address, listen.Options{}); err == nil {
			opened.Close()
		}
	})
	return err
}

// An outgoing connection, or a sidecar that is about to end, may have the address for a moment.
func TestOpenWaitsForAnAddressInUse(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	for name, address := range map[string]listen.Address{
		"tcp": {Network: "tcp", Address: "127.0.0.1:0"}, "unix": {Network: "unix", Address: directory + "/s", SocketMode: 0o600},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log strings.Builder
				taken, err := net.Listen(address.Network, address.Address)
				if err != nil {
					t.Fatal(err)
				}
				address.Address = taken.Addr().String()
				time.AfterFunc(3*time.Second, func() { taken.Close() })
				opened, err := listen.Open(t.Context(), address, listen.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
				if err != nil {
					t.Fatal(err)
				}
				opened.Close()
				if strings.Count(log.String(), "address is in use: waiting for it") != 1 {
					t.Errorf("log %q, want one line that it waits", log.String())
				}
			})
		})
	}
}

// The error tells an address where something answers from one that is taken by a process which does
// not listen there.
func TestAnAddressThatNobodyListensOn(t *testing.T) {
	t.Parallel()
	far, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	outgoing, err := net.Dial("tcp", far.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer outgoing.Close()
	address := listen.Address{Network: "tcp", Address: outgoing.LocalAddr().String()}
	if err := openInVain(t, address); err == nil || !strings.Contains(err.Error(), "in use by another process, which does not answer") {
		t.Errorf("error %v", err)
	}
}

func TestOpenAdminReportsWhatOpenReports(t *testing.T) {
	t.Parallel()
	if _, err := listen.OpenAdmin(t.Context(), "192.0.2.1:1", listen.Options{}); err == nil ||
		!strings.Contains(err.Error(), "not an address of this machine") {
		t.Errorf("error %v", err)
	}
	opened, err := listen.OpenAdmin(t.Context(), "127.0.0.1:0", listen.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := opened.Close(); err != nil {
		t.Error(err)
	}
}

func TestProbeLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	socket := listen.Address{Network: "unix", Address: filepath.Join(directory, "s"), SocketMode: 0o600}
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(directory, "stale")})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()
	probed := listen.Probe(t.Context(), listen.Address{Network: "tcp", Address: "127.0.0.1:0"}, socket,
		listen.Address{Network: "unix", Address: stale.Addr().String(), SocketMode: 0o600})
	if err := errors.Join(probed...); err != nil {
		t.Error(err)
	}
	left, err := os.ReadDir(directory)
	if err != nil || len(left) != 1 || left[0].Name() != "stale" {
		t.Errorf("left behind: %v, error %v; want the stale socket alone", left, err)
	}
	if _, err := net.Dial("unix", stale.Addr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("the stale socket was replaced: %v", err)
	}
}

func TestProbeFindsTheSameAddressTwice(t *testing.T) {
	t.Parallel()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listen.Address{Network: "tcp", Address: free.Addr().String()}
	free.Close()
	probed := listen.Probe(t.Context(), address, address)
	if probed[0] != nil || probed[1] == nil || !strings.Contains(probed[1].Error(), "in use") {
		t.Errorf("errors %v, want the second in use", probed)
	}
}

// Strangers have few places and little time: the oldest gives way to a newcomer, and whoever proves
// nothing is closed. Both are reported.
func TestStrangersGiveWay(t *testing.T) {
	t.Parallel()
	const strangers, more = 64, 6
	refused := make(chan listen.Refusal, strangers+more)
	listener, err := listen.Open(t.Context(), listen.Address{Network: "tcp", Address: "127.0.0.1:0"},
		listen.Options{Refused: func(r listen.Refusal) { refused <- r }})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	listen.CloseIfStuck(t, listener)
	var silent []net.Conn
	for range strangers + more {
		dialed, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer dialed.Close()
		listen.CloseIfStuck(t, dialed)
		accepted, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer accepted.Close()
		silent = append(silent, dialed)
	}
	for i, conn := range silent {
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
			t.Fatalf("connection %d: %v, want it closed", i, err)
		}
		want := "connection_limit"
		if i >= more {
			want = "unproven"
		}
		if r := listen.NextRefusal(t, refused); r.Kind != want || r.Err == nil || i < more && r.Peer != conn.LocalAddr().String() {
			t.Errorf("connection %d: reported %+v, want kind %s", i, r, want)
		}
	}
}

func openSocketAt(t *testing.T, path string, mode fs.FileMode) (*listen.Listener, error) {
	t.Helper()
	return listen.Open(t.Context(), listen.Address{Network: "unix", Address: path, SocketMode: mode}, listen.Options{})
}
