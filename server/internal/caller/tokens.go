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
	"sync"

	"github.com/chatidentity/chatidentity/server/internal/sensitive"
	"github.com/chatidentity/chatidentity/server/internal/watch"
)

const (
	// tokenPrefix lets scanners find a token that was committed or logged.
	tokenPrefix = "chatidentity_"
	tokenBytes  = 32
	// maxTokens bounds the cost of a call, which compares every digest.
	maxTokens    = 1000
	digestPrefix = "sha256:"
	namePattern  = `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`
)

var (
	tokenName = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile("^" + namePattern + "$")
	})
	tokenLine = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^(` + namePattern + `)[ \t]+[Ss][Hh][Aa]256:([0-9A-Fa-f]{64})$`)
	})
)

// Tokens are the bearer tokens of callers, by digest. The zero value and nil know none.
type Tokens struct {
	entries []tokenEntry
}

type tokenEntry struct {
	name   string
	digest [sha256.Size]byte
}

// ParseTokens reads up to 1,000 tokens. A line is a name, spaces or tabs and "sha256:" with the
// digest of the token in hexadecimal; see watch.Lines for what is skipped. Anything else is an
// error, so a line is never half read. A name may have several tokens, for a change from one to the
// next. Errors name the line and never repeat it.
func ParseTokens(text []byte) (*Tokens, error) {
	var tokens Tokens
	seen := map[[sha256.Size]byte]int{}
	for number, line := range watch.Lines(text) {
		if len(tokens.entries) == maxTokens {
			return nil, fmt.Errorf("it has more than %d tokens", maxTokens)
		}
		entry, err := parseTokenLine(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if before, found := seen[entry.digest]; found {
			return nil, fmt.Errorf("line %d: the same token as on line %d", number, before)
		}
		seen[entry.digest] = number
		tokens.entries = append(tokens.entries, entry)
	}
	if tokens.entries == nil {
		return nil, errors.New("no token in it; make one with `chatidentity caller-token NAME`")
	}
	return &tokens, nil
}

func parseTokenLine(line string) (tokenEntry, error) {
	parts := tokenLine().FindStringSubmatch(line)
	if parts == nil {
		return tokenEntry{}, errors.New("must be a name, a space and sha256: with 64 hexadecimal digits, " +
			"as `chatidentity caller-token NAME` prints it")
	}
	entry := tokenEntry{name: parts[1]}
	_, _ = hex.Decode(entry.digest[:], []byte(parts[2])) // the pattern lets nothing else through
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
	if !tokenName().MatchString(name) {
		return sensitive.String{}, "", errors.New("a name has 1 to 64 letters, digits, dots, hyphens and underscores, " +
			"and begins with a letter or a digit")
	}
	random := make([]byte, tokenBytes)
	_, _ = rand.Read(random) // never fails
	token := tokenPrefix + base64.RawURLEncoding.EncodeToString(random)
	digest := sha256.Sum256([]byte(token))
	return sensitive.New(token), name + " " + digestPrefix + hex.EncodeToString(digest[:]), nil
}
