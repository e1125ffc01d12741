package caller

import (
	"errors"
	"strings"

	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

// Why a call is nobody's. The texts are for the client.
var (
	errNoToken        = errors.New("send a caller token in the authorization metadata: Bearer TOKEN")
	errMalformedToken = errors.New("the authorization metadata must be one value: Bearer TOKEN")
	errUnknownToken   = errors.New("the caller token is not a known one")
)

// maxTokenSize bounds what is hashed, in bytes. Ours have 56.
const maxTokenSize = 512

// Authenticate returns who makes a call: the holder of the bearer token in its
// authorization metadata, or else the other end of its connection. Where there
// are tokens, a call over TCP without a certificate needs one, and a wrong one is
// an error on any connection. Where there are none the metadata is not ours and
// is not read. The error is fixed text for the client.
func (p Policy) Authenticate(connection Identity, authorization []string) (Identity, error) {
	if p.Tokens == nil {
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
	name, known := p.Tokens().find(token)
	if !known {
		return Identity{}, errUnknownToken
	}
	return Identity{Kind: Token, Name: name, Peer: connection.Peer}, nil
}

// bearer returns the token of a single "Bearer TOKEN": RFC 6750, section 2.1.
func bearer(authorization []string) (string, bool) {
	if len(authorization) != 1 {
		return "", false
	}
	scheme, token, _ := strings.Cut(authorization[0], " ")
	if !strings.EqualFold(scheme, "Bearer") || !isToken(token) {
		return "", false
	}
	return token, true
}

// IsToken reports whether a value can be sent as a bearer token at all.
func IsToken(value sensitive.String) bool { return isToken(value.Reveal()) }

func isToken(text string) bool {
	return text != "" && len(text) <= maxTokenSize && !strings.ContainsFunc(text, outsideToken)
}

func outsideToken(r rune) bool {
	letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	return !letter && (r < '0' || '9' < r) && !strings.ContainsRune("-._~+/=", r)
}
