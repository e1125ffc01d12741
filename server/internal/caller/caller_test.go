package caller_test

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/caller"
)

func TestFromConn(t *testing.T) {
	t.Parallel()
	t.Run("loopback", func(t *testing.T) {
		t.Parallel()
		who, err := caller.FromConn(accepted(t, "tcp", "127.0.0.1:0"))
		if err != nil || who.String() != "loopback" || who.Kind != caller.Loopback {
			t.Errorf("identity %v, error %v", who, err)
		}
		if host, _, err := net.SplitHostPort(who.Peer); err != nil || host != "127.0.0.1" {
			t.Errorf("peer %q, want 127.0.0.1 and a port", who.Peer)
		}
	})
	t.Run("unix", func(t *testing.T) {
		t.Parallel()
		who, err := caller.FromConn(accepted(t, "unix", filepath.Join(t.TempDir(), "s")))
		if err != nil || who.String() != "uid:"+strconv.Itoa(os.Getuid()) {
			t.Errorf("identity %v, error %v", who, err)
		}
		if who.Peer != "pid:"+strconv.Itoa(os.Getpid()) {
			t.Errorf("peer %q, want this process", who.Peer)
		}
	})
	t.Run("loopback at one end", func(t *testing.T) {
		t.Parallel()
		who, err := caller.FromConn(acceptedAt(t, "tcp", "0.0.0.0:0", func(address net.Addr) (net.Conn, error) {
			port := address.(*net.TCPAddr).Port
			from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}}
			return from.DialContext(t.Context(), "tcp", net.JoinHostPort(outside(t), strconv.Itoa(port)))
		}))
		if err != nil || who.Kind != caller.Remote {
			t.Errorf("identity %v, error %v", who, err)
		}
	})
	t.Run("closed", func(t *testing.T) {
		t.Parallel()
		conn := accepted(t, "unix", filepath.Join(t.TempDir(), "s"))
		conn.Close()
		if who, err := caller.FromConn(conn); err == nil {
			t.Errorf("a connection that is closed is %v", who)
		}
	})
	t.Run("anything else", func(t *testing.T) {
		t.Parallel()
		one, other := net.Pipe()
		defer one.Close()
		defer other.Close()
		if who, err := caller.FromConn(one); err == nil {
			t.Errorf("a pipe is %v", who)
		}
	})
}

// outside returns an address of this machine that is not a loopback one.
func outside(t *testing.T) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range addresses {
		if network, ok := address.(*net.IPNet); ok && network.IP.IsGlobalUnicast() && network.IP.To4() != nil {
			return network.IP.String()
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("this machine has loopback addresses alone")
	}
	t.Skip("this machine has loopback addresses alone")
	return ""
}

// accepted returns the server's end of a connection over the network.
func accepted(t *testing.T, network, address string) net.Conn {
	t.Helper()
	return acceptedAt(t, network, address, func(address net.Addr) (net.Conn, error) {
		return net.Dial(network, address.String())
	})
}

// acceptedAt does it for a client that dials on its own.
func acceptedAt(t *testing.T, network, address string, dial func(net.Addr) (net.Conn, error)) net.Conn {
	t.Helper()
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	client, err := dial(listener.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestAdmissionByConnection(t *testing.T) {
	t.Parallel()
	admission := caller.Admission{AllowedUIDs: []uint32{1000, 65534}, OwnUID: 65532, OverflowUID: 65534}
	loopback := caller.Identity{Kind: caller.Loopback}
	uid := func(name string) caller.Identity { return caller.Identity{Kind: caller.UID, Name: name} }
	for _, test := range []struct {
		name    string
		who     caller.Identity
		call    bool
		health  bool
		reflect bool
	}{
		{"loopback", loopback, true, true, true},
		{"remote", caller.Identity{Kind: caller.Remote}, false, false, false},
		{"an allowed uid", uid("1000"), true, true, true},
		{"another uid", uid("1001"), false, false, false},
		{"root", uid("0"), false, false, false},
		{"the sidecar's own uid", uid("65532"), false, true, false},
		{"the overflow uid, though listed", uid("65534"), false, false, false},
		{"a uid that is no number", uid("root"), false, false, false},
		{"a uid beyond 32 bits", uid("4294968296"), false, false, false}, // 2^32 + 1000
		{"nobody", caller.Identity{}, false, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for action, want := range map[caller.Action]bool{
				caller.Call: test.call, caller.CheckHealth: test.health, caller.Reflect: test.reflect,
			} {
				if got := admission.May(test.who, action); got != want {
					t.Errorf("action %d: %t, want %t", action, got, want)
				}
			}
		})
	}
}

func TestTheOwnUIDMayCallWhenListed(t *testing.T) {
	t.Parallel()
	admission := caller.Admission{AllowedUIDs: []uint32{65532}, OwnUID: 65532, OverflowUID: 65534}
	if !admission.May(caller.Identity{Kind: caller.UID, Name: "65532"}, caller.Call) {
		t.Error("the listed own uid may not call")
	}
}

func TestRemoteCallersAreAllowedByNameAlone(t *testing.T) {
	t.Parallel()
	remote := caller.Identity{Kind: caller.Remote}
	if (caller.Admission{}).May(remote, caller.Call) || !(caller.Admission{AllowRemote: true}).May(remote, caller.Call) {
		t.Error("a remote caller may call only where the admission says so")
	}
	if remote.String() != "remote" {
		t.Errorf("is called %q", remote.String())
	}
}

func TestTheZeroAdmissionAllowsNoUID(t *testing.T) {
	t.Parallel()
	var zero caller.Admission
	if zero.May(caller.Identity{Kind: caller.UID, Name: "1000"}, caller.Call) {
		t.Error("a uid may call")
	}
}
