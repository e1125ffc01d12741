package caller

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

const (
	// tokenPrefix lets scanners find a token that was committed or logged.
	tokenPrefix = "chatidentity_"
	tokenBytes  = 32
	// maxTokens bounds the cost of a call, which compares every digest.
	maxTokens    = 1000
	digestPrefix = "sha256:"
)

var (
	tokenName   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	tokenDigest = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// Tokens are the bearer tokens of callers, by digest. The zero value and nil know none.
type Tokens struct {
	entries []tokenEntry
}

type tokenEntry struct {
	name   string
	digest [sha256.Size]byte
}

// ParseTokens reads up to 1,000 lines, each a name, one space and "sha256:" with the digest of the
// token in lower-case hexadecimal. Anything else is an error, so a line is never half read. A name
// may have several tokens, for a change from one to the next. Errors name the line and never repeat
// it.
func ParseTokens(text []byte) (*Tokens, error) {
	var tokens Tokens
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if len(lines) > maxTokens {
		return nil, fmt.Errorf("it has more than %d lines", maxTokens)
	}
	seen := make(map[[sha256.Size]byte]int, len(lines))
	for i, line := range lines {
		entry, err := parseTokenLine(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		if before, found := seen[entry.digest]; found {
			return nil, fmt.Errorf("line %d: the same token as on line %d", i+1, before)
		}
		seen[entry.digest] = i + 1
		tokens.entries = append(tokens.entries, entry)
	}
	return &tokens, nil
}

func parseTokenLine(line string) (tokenEntry, error) {
	name, rest, _ := strings.Cut(line, " ")
	digits, found := strings.CutPrefix(rest, digestPrefix)
	if !found || !tokenName.MatchString(name) || !tokenDigest.MatchString(digits) {
		return tokenEntry{}, errors.New("must be a name, one space and sha256: with 64 lower-case hexadecimal digits, " +
			"as `chatidentity caller-token NAME` prints it")
	}
	entry := tokenEntry{name: name}
	if _, err := hex.Decode(entry.digest[:], []byte(digits)); err != nil {
		return tokenEntry{}, errors.New("the digest is not hexadecimal")
	}
	return entry, nil
}

// find returns the name that the token belongs to. It compares every digest in constant time, so
// the time it takes does not reveal how close a guess was.
func (t *Tokens) find(token string) (string, bool) {
	if t == nil {
		return "", false
	}
	digest := sha256.Sum256([]byte(token))
	found := -1
	for i := range t.entries {
		equal := subtle.ConstantTimeCompare(digest[:], t.entries[i].digest[:])
		found = subtle.ConstantTimeSelect(equal, i, found)
	}
	if found < 0 {
		return "", false
	}
	return t.entries[found].name, true
}

// NewToken returns a new token of 256 random bits for the name, and the line of the tokens file
// that admits it.
func NewToken(name string) (sensitive.String, string, error) {
	if !tokenName.MatchString(name) {
		return sensitive.String{}, "", errors.New("a name has 1 to 64 letters, digits, dots, hyphens and underscores, " +
			"and begins with a letter or a digit")
	}
	random := make([]byte, tokenBytes)
	_, _ = rand.Read(random) // never fails
	token := tokenPrefix + base64.RawURLEncoding.EncodeToString(random)
	digest := sha256.Sum256([]byte(token))
	return sensitive.New(token), name + " " + digestPrefix + hex.EncodeToString(digest[:]), nil
}
