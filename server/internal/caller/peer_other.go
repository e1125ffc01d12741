//go:build !linux

package caller

import (
	"errors"
	"net"
)

func peerCredentials(*net.UnixConn) (uint32, int32, error) {
	return 0, 0, errors.New("peer credentials of unix sockets are read only on Linux")
}

// OverflowUID returns 65534.
func OverflowUID() uint32 { return 65534 }
