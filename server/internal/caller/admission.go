package caller

import (
	"errors"
	"slices"
	"strconv"
)

// Action is what a caller wants to do.
type Action uint8

// The actions.
const (
	Call        Action = iota // an RPC of ChatIdentityService
	CheckHealth               // grpc.health.v1
	Reflect                   // grpc.reflection
)

// Admission says who is let in: by the connection and, if there are tokens, by token. What each
// caller may then do is up to the policy. The zero value lets in loopback callers and certificates,
// and nobody else.
type Admission struct {
	AllowRemote bool // anyone who reaches a listener outside loopback: for `dev`, whose secret is worthless
	AllowedUIDs []uint32
	OwnUID      uint32         // the sidecar's own: it may check health, so that exec probes work
	OverflowUID uint32         // stands for every user unknown to this user namespace: never allowed
	Tokens      func() *Tokens // the current bearer tokens. Nil: there are none
}

// May reports whether whoever is at the other end of a connection may perform the action.
func (a Admission) May(who Identity, action Action) bool {
	switch who.Kind {
	case Loopback, Certificate:
		return true
	case Remote:
		return a.AllowRemote
	case UID:
		uid, err := strconv.ParseUint(who.Name, 10, 32)
		if err != nil || uint32(uid) == a.OverflowUID {
			return false
		}
		own := uint32(uid) == a.OwnUID && action == CheckHealth
		return own || slices.Contains(a.AllowedUIDs, uint32(uid))
	default:
		return false
	}
}

// Why a call is not authenticated. The texts are for the client.
var (
	errNoToken        = errors.New("send a caller token in the authorization metadata: Bearer TOKEN")
	errMalformedToken = errors.New("the authorization metadata must be one value: Bearer TOKEN")
	errUnknownToken   = errors.New("the caller token is unknown")
)

// Authenticate returns who makes a call: the holder of the bearer token in its authorization
// metadata, or else the other end of its connection. If there are tokens, a call over TCP without a
// certificate needs one, and a wrong token is an error on any connection. If there are none, the
// metadata is not meant for the sidecar and is not read. The error is fixed text for the client.
func (a Admission) Authenticate(connection Identity, authorization []string) (Identity, error) {
	if a.Tokens == nil {
		return connection, nil
	}
	if len(authorization) == 0 {
		if connection.Kind == UID || connection.Kind == Certificate {
			return connection, nil
		}
		return Identity{}, errNoToken
	}
	token, ok := bearer(authorization)
	if !ok {
		return Identity{}, errMalformedToken
	}
	name, known := a.Tokens().find(token)
	if !known {
		return Identity{}, errUnknownToken
	}
	return Identity{Kind: Token, Name: name, Peer: connection.Peer}, nil
}
