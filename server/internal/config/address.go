package config

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
)

// maxSocketPath leaves room, within the 107 bytes of a socket's address, for the private directory in
// which the socket is created.
const maxSocketPath = 90

// The networks.
const (
	networkTCP  = "tcp"
	networkUnix = "unix"
)

// Address is where to listen or dial: host:port, or unix:/path.
type Address struct {
	Network string // tcp or unix
	Address string
}

// ParseAddress reads an address.
func ParseAddress(text string) (Address, error) {
	if path, isUnix := strings.CutPrefix(text, "unix:"); isUnix {
		if !strings.HasPrefix(path, "/") || len(path) > maxSocketPath {
			return Address{}, fmt.Errorf("%q must be unix: and an absolute path of at most %d bytes, "+
				"such as unix:/run/chatidentity/chatidentity.sock", text, maxSocketPath)
		}
		return Address{networkUnix, filepath.Clean(path)}, nil
	}
	if strings.HasPrefix(text, "unix-abstract:") {
		return Address{}, fmt.Errorf("%q: a socket without a file has no permissions: "+
			"give one with a path, such as unix:/run/chatidentity/chatidentity.sock", text)
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil || strings.ContainsAny(host, "/ ") {
		return Address{}, fmt.Errorf("%q must be host:port or unix:/path, such as 127.0.0.1:9451", text)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return Address{}, fmt.Errorf("%q must have a port from 0 to 65535, such as 127.0.0.1:9451", text)
	}
	return Address{networkTCP, text}, nil
}

// String returns the form that ParseAddress reads.
func (a Address) String() string {
	if a.IsUnix() {
		return "unix:" + a.Address
	}
	return a.Address
}

// IsUnix reports whether it is a unix socket.
func (a Address) IsUnix() bool { return a.Network == networkUnix }

// IsLoopback reports whether it is a loopback address or localhost.
func (a Address) IsLoopback() bool {
	host, _, err := net.SplitHostPort(a.Address)
	if err != nil || a.IsUnix() {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// isOutside reports whether other machines may reach it.
func (a Address) isOutside() bool { return !a.IsUnix() && !a.IsLoopback() }

// clashes reports whether only one of two addresses can be listened on. Port 0 is any free port.
func (a Address) clashes(b Address) bool {
	if a.IsUnix() || b.IsUnix() {
		return a == b
	}
	hostA, portA := a.split()
	hostB, portB := b.split()
	return portA == portB && portA != 0 && (hostA == hostB || isEveryHost(hostA, hostB) || isEveryHost(hostB, hostA))
}

func (a Address) split() (string, uint64) {
	host, text, _ := net.SplitHostPort(a.Address)
	port, _ := strconv.ParseUint(text, 10, 16) // ParseAddress has seen it
	if strings.EqualFold(host, "localhost") {
		host = "127.0.0.1"
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		host = ip.Unmap().String()
	}
	return host, port
}

// isEveryHost reports whether host stands for every address of this machine that other may be.
func isEveryHost(host, other string) bool {
	return host == "" || host == "::" || host == "0.0.0.0" && !strings.Contains(other, ":")
}
