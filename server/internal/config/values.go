package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// maxSocketPath leaves room, within the 107 bytes that a socket's address
// holds, for the private directory that a socket is made in.
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

// UnmarshalText reads an address.
func (a *Address) UnmarshalText(text []byte) error {
	if path, isUnix := strings.CutPrefix(string(text), "unix:"); isUnix {
		if !filepath.IsAbs(path) || len(path) > maxSocketPath {
			return fmt.Errorf("%q must be unix: and an absolute path of at most %d bytes", text, maxSocketPath)
		}
		*a = Address{networkUnix, filepath.Clean(path)}
		return nil
	}
	_, port, err := net.SplitHostPort(string(text))
	if err != nil {
		return fmt.Errorf("%q must be host:port or unix:/path", text)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q must have a port from 0 to 65535", text)
	}
	*a = Address{networkTCP, string(text)}
	return nil
}

// String returns the form that UnmarshalText reads.
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

// isOutside reports whether others than this machine may reach it.
func (a Address) isOutside() bool { return !a.IsUnix() && !a.IsLoopback() }

// Bytes is a size in bytes.
type Bytes int64

// UnmarshalText reads a whole number with KiB, MiB or GiB, or bytes without.
func (b *Bytes) UnmarshalText(text []byte) error {
	number, shift := string(text), 0
	for unit, bits := range map[string]int{"KiB": 10, "MiB": 20, "GiB": 30} {
		if n, found := strings.CutSuffix(number, unit); found {
			number, shift = n, bits
			break
		}
	}
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return fmt.Errorf("%q must be a whole number of bytes, or one with KiB, MiB or GiB, such as 100MiB", text)
	}
	*b = Bytes(n << shift) //nolint:gosec // 32 bits and 30 more
	return nil
}

// UnmarshalText reads permissions in octal, such as 0660.
func (m *FileMode) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 8, 32)
	if err != nil || n > 0o777 {
		return fmt.Errorf("%q must be permissions in octal, such as 0660", text)
	}
	*m = FileMode(n)
	return nil
}

func oneOf[T ~string](value *T, text []byte, choices ...T) error {
	if !slices.Contains(choices, T(text)) {
		names := make([]string, len(choices))
		for i, choice := range choices {
			names[i] = string(choice)
		}
		return errors.New(strconv.Quote(string(text)) + " is not one of " + strings.Join(names, ", "))
	}
	*value = T(text)
	return nil
}
