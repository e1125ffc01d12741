// Package secret holds the current signing secret of each organization, and knows where it comes
// from: the environment, a file, or Kustomer's API.
package secret

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

const (
	// MaxSize is the maximum size of a secret, in bytes. Real secrets have a few dozen.
	MaxSize = 4096
	// plausibleSize is the minimum size of an HS256 key (RFC 7518, section 3.2).
	plausibleSize = 32
)

// Secret is one signing secret. Two values are equal (==) if they come from the same load, so a
// value derived from a secret may be cached with it.
type Secret struct {
	// Value is the secret. Its UTF-8 bytes are the HMAC key as they stand.
	Value sensitive.String
	// ID is a short one-way fingerprint: 12 hexadecimal digits, the same for the same secret
	// everywhere. It may be logged.
	ID string
}

const (
	fingerprintLabel      = "chatidentity secret id v1"
	fingerprintIterations = 10_000
	fingerprintSize       = 6 // bytes
)

// New returns the secret with its fingerprint. It takes about 2 ms of CPU.
//
// Audit records contain the fingerprint, so anyone who can read them can test guesses against it.
// PBKDF2 makes each guess 10,000 times as expensive as testing it against a token, which every chat
// user has, so the fingerprint is never the easier target. A secret that cannot be guessed (32
// random bytes) does not need this.
func New(value sensitive.String) (Secret, error) {
	if err := check(value); err != nil {
		return Secret{}, err
	}
	id, err := pbkdf2.Key(sha256.New, value.Reveal(), []byte(fingerprintLabel), fingerprintIterations, fingerprintSize)
	if err != nil {
		return Secret{}, fmt.Errorf("making the fingerprint of a secret: %w", err)
	}
	return Secret{Value: value.Keeping(), ID: hex.EncodeToString(id)}, nil
}

// Why a value cannot be a secret.
var (
	ErrEmpty    = errors.New("the value is empty")
	ErrTooLarge = errors.New("the value is larger than 4096 bytes")
)

func check(value sensitive.String) error {
	switch {
	case strings.TrimSpace(value.Reveal()) == "":
		return ErrEmpty
	case len(value.Reveal()) > MaxSize:
		return ErrTooLarge
	}
	return nil
}
