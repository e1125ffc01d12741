package audit

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"regexp"
	"strings"
	"sync"

	"github.com/chatidentity/chatidentity/server/internal/sensitive"
	"github.com/chatidentity/chatidentity/server/internal/watch"
)

const (
	minKeyBytes    = 32
	pseudonymBytes = 16 // 128 bits: two people never share one by chance
	ephemeralID    = "ephemeral-"
)

// The kinds of pseudonyms.
const (
	KindExternalID = "external_id"
	KindEmail      = "email"
)

var keyName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
})

// Key holds what is derived from an audit key, never the key itself. It prints as its ID.
type Key struct {
	id        string
	name      string
	mac       [32]byte // of the chain
	pseudonym [32]byte
	limits    [32]byte  // of the names of shared rate limits
	hashes    sync.Pool // of pseudonymizers
}

// NewKey derives an audit key from at least 32 secret bytes.
func NewKey(name string, material []byte) (*Key, error) {
	if len(material) < minKeyBytes {
		return nil, fmt.Errorf("the key has %d bytes; at least %d are needed", len(material), minKeyBytes)
	}
	k := &Key{name: name}
	var id [8]byte
	for label, dst := range map[string][]byte{
		"mac": k.mac[:], "pseudonym": k.pseudonym[:], "limits": k.limits[:], "id": id[:],
	} {
		derived, err := hkdf.Key(sha256.New, material, nil, "chatidentity audit v1 "+label, len(dst))
		if err != nil {
			return nil, fmt.Errorf("derive the %s key: %w", label, err)
		}
		copy(dst, derived)
	}
	k.id = hex.EncodeToString(id[:])
	return k, nil
}

// ID is a fingerprint of the key, 16 hex digits, which records carry as key_id. The ID of a key
// made for one process begins with "ephemeral-".
func (k *Key) ID() string { return k.id }

// LimitNames is the key of the names under which replicas share rate limits: replicas with the same
// audit key share their budgets.
func (k *Key) LimitNames() sensitive.String { return sensitive.New(string(k.limits[:])) }

// Name is the name that the key has in its file; it may be empty.
func (k *Key) Name() string { return k.name }

// Format prints the ID for every verb, so that no derived key is printed.
func (k *Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.id) }

// Pseudonym returns 32 hex digits that stand for a value of that kind and that nobody can compute
// without the key. The ASCII case of an email is folded first, so that one search finds all
// spellings of an address.
func (k *Key) Pseudonym(kind, value string) string {
	p, ok := k.hashes.Get().(*pseudonymizer)
	if !ok {
		p = &pseudonymizer{hash: hmac.New(sha256.New, k.pseudonym[:])}
	}
	defer k.hashes.Put(p)
	p.buffer = append(append(append(p.buffer[:0], kind...), 0), value...)
	if kind == KindEmail {
		foldASCII(p.buffer[len(kind)+1:])
	}
	p.hash.Reset()
	_, _ = p.hash.Write(p.buffer)
	p.buffer = p.hash.Sum(p.buffer[:0])
	var text [2 * pseudonymBytes]byte
	hex.Encode(text[:], p.buffer[:pseudonymBytes])
	return string(text[:])
}

// pseudonymizer is a keyed hash and the memory around it, to be used again.
type pseudonymizer struct {
	hash   hash.Hash
	buffer []byte
}

// foldASCII changes no other byte: two texts that are not UTF-8 stay two.
func foldASCII(text []byte) {
	for i, c := range text {
		if 'A' <= c && c <= 'Z' {
			text[i] = c + ('a' - 'A')
		}
	}
}

// NewEphemeralKey makes a random key for a process that was given none.
func NewEphemeralKey() (*Key, error) {
	var material [minKeyBytes]byte
	_, _ = rand.Read(material[:]) // never fails, see systemRandom
	k, err := NewKey("", material[:])
	if err != nil {
		return nil, err
	}
	k.id = ephemeralID + k.id
	return k, nil
}

// ParseKeys reads the keys of a key file, the current one first. A line is base64 of at least 32
// bytes, optionally after "name:". See watch.Lines for what is skipped. Errors name the line and
// never repeat its content.
func ParseKeys(file []byte) ([]*Key, error) {
	var keys []*Key
	seen := map[string]int{}
	for number, line := range watch.Lines(file) {
		k, err := parseKey(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if first, twice := seen[k.id]; twice {
			return nil, fmt.Errorf("line %d: the same key as on line %d", number, first)
		}
		seen[k.id] = number
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, errors.New("no key in it; make one with: head -c 32 /dev/urandom | base64")
	}
	return keys, nil
}

func parseKey(line string) (*Key, error) {
	name, text, named := strings.Cut(line, ":")
	if !named {
		name, text = "", line
	} else if !keyName().MatchString(name) {
		return nil, errors.New("a key's name is 1 to 64 of A-Z a-z 0-9 . _ -, such as \"2026-11\"")
	}
	material, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.TrimSpace(text), "="))
	if err != nil {
		return nil, errors.New("not base64; make a key with: head -c 32 /dev/urandom | base64")
	}
	return NewKey(name, material)
}
