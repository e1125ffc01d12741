// Package caller says who is calling and who is let in. It trusts only what the kernel, a bearer
// token or a certificate vouches for; who the user is, is the caller's word (see customer). It
// opens nothing.
package caller

import (
	"fmt"
	"net"
	"strconv"
)

// Kind is how a caller is known.
type Kind uint8

// The kinds.
const (
	Unknown     Kind = iota
	Loopback         // over TCP on the loopback interface: everyone in the pod
	Remote           // over TCP from anywhere: only `dev` serves it
	UID              // over a unix socket: the peer's user ID, from the kernel
	Token            // a bearer token in the call's metadata
	Certificate      // over TLS: a client certificate that a trusted CA signed
)

// Identity is who is calling. The zero value is nobody, who may do nothing.
type Identity struct {
	Kind Kind
	Name string // the number of a UID; the name of a Token or Certificate; otherwise empty
	Peer string // the connection's other end, for the audit record
}

// String returns the caller's name in audit records, metrics and policies: "loopback", "remote",
// "uid:1000", "token:checkout" or "certificate:spiffe://example.org/checkout".
func (i Identity) String() string {
	switch i.Kind {
	case Loopback:
		return loopbackName
	case Remote:
		return "remote"
	case UID:
		return uidPrefix + i.Name
	case Token:
		return tokenNamePrefix + i.Name
	case Certificate:
		return certificatePrefix + i.Name
	default:
		return ""
	}
}

// IsShared reports whether the name means the same caller at every replica. "loopback" and "uid:N"
// mean different callers in different pods.
func (i Identity) IsShared() bool { return i.Kind == Token || i.Kind == Certificate }

// FromConn identifies the other end of a connection that a server accepted over TCP or a unix
// socket.
func FromConn(conn net.Conn) (Identity, error) {
	switch conn := conn.(type) {
	case *net.TCPConn:
		kind := Remote
		// Both ends: the route to a loopback address can be opened to other machines.
		if isLoopback(conn.LocalAddr()) && isLoopback(conn.RemoteAddr()) {
			kind = Loopback
		}
		return Identity{Kind: kind, Peer: conn.RemoteAddr().String()}, nil
	case *net.UnixConn:
		uid, pid, err := peerCredentials(conn)
		if err != nil {
			return Identity{}, fmt.Errorf("identify caller: %w", err)
		}
		name := strconv.FormatUint(uint64(uid), 10)
		return Identity{Kind: UID, Name: name, Peer: "pid:" + strconv.Itoa(int(pid))}, nil
	default:
		return Identity{}, fmt.Errorf("identify caller: a %T is not a TCP or unix connection", conn)
	}
}

func isLoopback(address net.Addr) bool {
	tcp, ok := address.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}
