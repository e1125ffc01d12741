package config

import (
	"fmt"
	"io/fs"
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
		if !filepath.IsAbs(path) || len(path) > maxSocketPath {
			return Address{}, fmt.Errorf("%q must be unix: and an absolute path of at most %d bytes", text, maxSocketPath)
		}
		return Address{networkUnix, filepath.Clean(path)}, nil
	}
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return Address{}, fmt.Errorf("%q must be host:port or unix:/path", text)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return Address{}, fmt.Errorf("%q must have a port from 0 to 65535", text)
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

// Bytes is a size in bytes.
type Bytes int64

// String returns the form that parseBytes reads, in whole MiB.
func (b Bytes) String() string { return strconv.FormatInt(int64(b)>>20, 10) + "MiB" }

// parseBytes reads a whole number of KiB, MiB or GiB, or of bytes.
func parseBytes(text string) (Bytes, error) {
	number, shift := text, 0
	for unit, bits := range map[string]int{"KiB": 10, "MiB": 20, "GiB": 30} {
		if n, found := strings.CutSuffix(number, unit); found {
			number, shift = n, bits
			break
		}
	}
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%q must be a whole number of bytes, or one with KiB, MiB or GiB, such as 100MiB", text)
	}
	return Bytes(n << shift), nil //nolint:gosec // 32 bits and 30 more
}

// parseFileMode reads permissions in octal.
func parseFileMode(text string) (fs.FileMode, error) {
	n, err := strconv.ParseUint(text, 8, 32)
	if err != nil || n > 0o777 {
		return 0, fmt.Errorf("%q must be permissions in octal, such as 0660", text)
	}
	return fs.FileMode(n), nil
}
