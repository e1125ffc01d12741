package config

import (
	"net"
	"path/filepath"
	"testing"
)

// FuzzParseAddress reads any text. An address prints back as one that is read the same, and is what
// the system can listen on.
func FuzzParseAddress(f *testing.F) {
	for _, text := range []string{
		"127.0.0.1:9451", "[::1]:0", ":1", "localhost:65535", "unix:/run/s", "unix://run//s/../t",
		"unix-abstract:x", "a:b:c", "[a]:1",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		address, err := ParseAddress(text)
		if err != nil {
			return
		}
		if again, err := ParseAddress(address.String()); err != nil || again != address {
			t.Fatalf("%q reads as %q, which reads as %q, %v", text, address, again, err)
		}
		if address.IsUnix() {
			if !filepath.IsAbs(address.Address) || len(address.Address) > maxSocketPath {
				t.Errorf("%q is the socket %q", text, address.Address)
			}
			return
		}
		if _, _, err := net.SplitHostPort(address.Address); err != nil || !address.clashes(address) && address.port() != 0 {
			t.Errorf("%q is %q: %v", text, address, err)
		}
		if address.IsLoopback() && address.isOutside() {
			t.Errorf("%q is loopback and outside", text)
		}
	})
}

func (a Address) port() uint64 {
	_, port := a.split()
	return port
}
