// Package caller says who is calling, and what a caller may do. It reads what
// the kernel vouches for; who the user is, is the caller's word (see customer).
package caller

import (
	"fmt"
	"net"
	"slices"
	"strconv"
)

// Kind is how a caller is known.
type Kind uint8

// The kinds.
const (
	Unknown     Kind = iota
	Loopback         // over TCP on the loopback interface: everyone in the pod
	Remote           // over TCP from anywhere: `dev` alone serves it
	UID              // over a unix socket: the peer's user ID, from the kernel
	Token            // a bearer token in the call's metadata
	Certificate      // over TLS: a client certificate that our CA signed
)

// Identity is who is calling. The zero value is nobody, who may do nothing.
type Identity struct {
	Kind Kind
	Name string // of UID: the number; of Token and Certificate: the name; of the others: empty
	Peer string // the connection's other end, for the audit record
}

// String returns the caller's name in audit records, metrics and policies:
// "loopback", "remote", "uid:1000", "token:checkout" or
// "certificate:spiffe://example.org/checkout".
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

// IsShared reports whether the same name is the same caller at every replica. A
// loopback address or a user ID is one pod's own.
func (i Identity) IsShared() bool { return i.Kind == Token || i.Kind == Certificate }

// FromConn identifies the other end of a connection that a server accepted:
// TCP, or a unix socket whose peer the kernel knows.
func FromConn(conn net.Conn) (Identity, error) {
	switch conn := conn.(type) {
	case *net.TCPConn:
		kind := Remote
		if isLoopback(conn.LocalAddr()) && isLoopback(conn.RemoteAddr()) { // the route to loopback can be opened to others
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
		return Identity{}, fmt.Errorf("identify caller: %T is no kind of connection that is served", conn)
	}
}

func isLoopback(address net.Addr) bool {
	tcp, ok := address.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// Action is what a caller wants to do.
type Action uint8

// The actions.
const (
	Call        Action = iota // an RPC of ChatIdentityService
	CheckHealth               // grpc.health.v1
	Reflect                   // grpc.reflection
)

// Policy says who is let in: by the connection, and by token where there are
// tokens. What each may then do is a Grant's to say. The zero value lets in
// loopback callers and certificates, and nobody else.
type Policy struct {
	AllowRemote bool // whoever reaches a listener outside loopback: for `dev`, whose secret is worthless
	AllowedUIDs []uint32
	OwnUID      uint32 // the sidecar's own: it may check health, so that exec probes work
	OverflowUID uint32 // the kernel's name for every user that this user namespace does not know: never allowed
	// Tokens returns the bearer tokens of this moment. Nil: there are none.
	Tokens func() *Tokens
}

// May reports whether who is at the other end of a connection may do it.
func (p Policy) May(who Identity, action Action) bool {
	switch who.Kind {
	case Loopback, Certificate:
		return true
	case Remote:
		return p.AllowRemote
	case UID:
		uid, err := strconv.ParseUint(who.Name, 10, 32)
		if err != nil || uint32(uid) == p.OverflowUID {
			return false
		}
		own := uint32(uid) == p.OwnUID && action == CheckHealth
		return own || slices.Contains(p.AllowedUIDs, uint32(uid))
	default:
		return false
	}
}
