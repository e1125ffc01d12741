package caller_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/bits"
	"strings"
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/caller"
	"github.com/chatidentity/chatidentity/server/internal/watch"
)

func lineOf(name, token string) string {
	digest := sha256.Sum256([]byte(token))
	return name + " sha256:" + hex.EncodeToString(digest[:])
}

func parseTokens(t testing.TB, lines ...string) *caller.Tokens {
	t.Helper()
	tokens, err := caller.ParseTokens([]byte(strings.Join(lines, "\n") + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

func manyTokens(n int) string {
	var text strings.Builder
	for i := range n {
		text.WriteString(lineOf("checkout", fmt.Sprint(i)) + "\n")
	}
	return text.String()
}

func TestParseTokens(t *testing.T) {
	t.Parallel()
	good := lineOf("checkout", "secret-of-checkout")
	digest := strings.TrimPrefix(good, "checkout sha256:")
	for name, test := range map[string]struct {
		text string
		line string // that the error names; empty: good
	}{
		"one line":                      {good + "\n", ""},
		"no newline at the end":         {good, ""},
		"two tokens of one name":        {good + "\n" + lineOf("checkout", "the next") + "\n", ""},
		"an empty line":                 {good + "\n\n", ""},
		"a comment":                     {"# mine\n" + good, ""},
		"a comment that is indented":    {good + "\n  # mine\n", ""},
		"Windows line ends":             {"# mine\r\n" + good + "\r\n\r\n", ""},
		"a byte-order mark":             {"\ufeff" + good, ""},
		"all three":                     {"\ufeff# mine\r\n\r\n" + good + "\r\n", ""},
		"white space around":            {"  " + good + " \n", ""},
		"empty":                         {"", "no token in it"},
		"nothing but comments":          {"# mine\n", "no token in it"},
		"an error after a comment":      {"\ufeff# mine\r\n\r\ncheckout\r\n", "line 3"},
		"a comment after the line":      {good + " # mine", "line 1"},
		"two spaces":                    {"checkout  sha256:" + digest, ""},
		"a tab":                         {"checkout\tsha256:" + digest, ""},
		"a prefix in capitals":          {"checkout SHA256:" + digest, ""},
		"another white space":           {"checkout \u00a0sha256:" + digest, "line 1"},
		"a digest in capitals":          {"checkout sha256:" + strings.ToUpper(digest), ""},
		"no name":                       {" sha256:" + digest, "line 1"},
		"a name with a space":           {"check out sha256:" + digest, "line 1"},
		"a name too long":               {strings.Repeat("n", 65) + " sha256:" + digest, "line 1"},
		"no digest":                     {"checkout", "line 1"},
		"a token in place of a digest":  {"checkout chatidentity_canary", "line 1"},
		"a digest cut short":            {good[:len(good)-1], "line 1"},
		"another hash":                  {"checkout sha512:" + digest, "line 1"},
		"the same token of two callers": {good + "\nother sha256:" + digest, "line 2"},
		"too many":                      {manyTokens(1001), "more than 1000 tokens"},
		"as many as there may be":       {manyTokens(1000), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tokens, err := caller.ParseTokens([]byte(test.text))
			if (err == nil) != (test.line == "") || (tokens != nil) != (err == nil) {
				t.Fatalf("error %v, want %q", err, test.line)
			}
			if err != nil && (!strings.Contains(err.Error(), test.line) || strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), digest)) {
				t.Errorf("error %q, want %s and nothing of the line", err, test.line)
			}
		})
	}
}

func TestANewTokenIsAdmittedByItsLine(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 100 {
		token, line, err := caller.NewToken("checkout")
		if err != nil || seen[token.Reveal()] {
			t.Fatalf("error %v, or the same token twice", err)
		}
		seen[token.Reveal()] = true
		if fmt.Sprint(token) != "[redacted]" || !strings.HasPrefix(token.Reveal(), "chatidentity_") || len(token.Reveal()) != 56 {
			t.Error("a token is 56 characters that scanners can find, and does not print")
		}
		admission := withTokens(parseTokens(t, line))
		who, err := admission.Authenticate(caller.Identity{Kind: caller.Loopback, Peer: "p"}, []string{"Bearer " + token.Reveal()})
		if err != nil || who.String() != "token:checkout" || who.Peer != "p" || !who.IsShared() {
			t.Errorf("identity %+v, error %v", who, err)
		}
	}
	if _, _, err := caller.NewToken("two words"); err == nil {
		t.Error("a name that no line can have")
	}
}

func withTokens(tokens *caller.Tokens) caller.Admission {
	return caller.Admission{Tokens: func() *caller.Tokens { return tokens }}
}

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	const token = "secret-of-checkout"
	line := lineOf("checkout", token)
	admission := withTokens(parseTokens(t, lineOf("before", "another"), line, lineOf("after", "yet another")))
	_, digest, _ := strings.Cut(line, "sha256:")
	connections := map[string]caller.Identity{
		"loopback":      {Kind: caller.Loopback},
		"remote":        {Kind: caller.Remote},
		"uid:1000":      {Kind: caller.UID, Name: "1000"},
		"certificate:a": {Kind: caller.Certificate, Name: "a"},
	}
	for name, test := range map[string]struct {
		authorization []string
		want          string // empty: refused; "connection": as the connection says
	}{
		"the token":               {[]string{"Bearer " + token}, "token:checkout"},
		"the scheme in any case":  {[]string{"bEaReR " + token}, "token:checkout"},
		"a wrong token":           {[]string{"Bearer secret-of-nobody"}, ""},
		"the digest as token":     {[]string{"Bearer " + digest}, ""},
		"the digest with prefix":  {[]string{"Bearer sha256:" + digest}, ""},
		"the line as token":       {[]string{"Bearer " + line}, ""},
		"no scheme":               {[]string{token}, ""},
		"another scheme":          {[]string{"Basic " + token}, ""},
		"the scheme alone":        {[]string{"Bearer"}, ""},
		"no token":                {[]string{"Bearer "}, ""},
		"two spaces":              {[]string{"Bearer  " + token}, ""},
		"a space after":           {[]string{"Bearer " + token + " "}, ""},
		"two values":              {[]string{"Bearer " + token, "Bearer " + token}, ""},
		"a wrong value before":    {[]string{"Bearer x", "Bearer " + token}, ""},
		"an empty value":          {[]string{""}, ""},
		"the token cut short":     {[]string{"Bearer " + token[:len(token)-1]}, ""},
		"the token made longer":   {[]string{"Bearer " + token + "="}, ""},
		"the token in capitals":   {[]string{"Bearer " + strings.ToUpper(token)}, ""},
		"a token of great length": {[]string{"Bearer " + strings.Repeat("x", 513)}, ""},
	} {
		for connection, identity := range connections {
			who, err := admission.Authenticate(identity, test.authorization)
			if (err != nil) != (test.want == "") || who.String() != test.want {
				t.Errorf("%s, %s: %q, error %v; want %q", connection, name, who, err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret-of") {
				t.Errorf("the error %q tells the token", err)
			}
		}
	}
	for connection, identity := range connections {
		who, err := admission.Authenticate(identity, nil)
		named := identity.Kind == caller.UID || identity.Kind == caller.Certificate
		if named && (err != nil || who != identity) || !named && err == nil {
			t.Errorf("%s without a token: %q, error %v", connection, who, err)
		}
		// If there are no tokens, the header is meant for somebody else.
		who, err = caller.Admission{}.Authenticate(identity, []string{"Bearer whatever"})
		if err != nil || who != identity {
			t.Errorf("%s where there are no tokens: %q, error %v", connection, who, err)
		}
	}
}

func TestEveryBitOfATokenCounts(t *testing.T) {
	t.Parallel()
	token, line, err := caller.NewToken("checkout")
	if err != nil {
		t.Fatal(err)
	}
	admission := withTokens(parseTokens(t, line))
	for i := range len(token.Reveal()) {
		for bit := range bits.UintSize / 8 {
			changed := []byte(token.Reveal())
			changed[i] ^= 1 << bit
			if who, err := admission.Authenticate(caller.Identity{Kind: caller.Loopback}, []string{"Bearer " + string(changed)}); err == nil {
				t.Errorf("bit %d of byte %d changed, and it is %q", bit, i, who)
			}
		}
	}
}

func FuzzParseTokens(f *testing.F) {
	f.Add([]byte(lineOf("checkout", "x") + "\n"))
	f.Add([]byte("checkout sha256:"))
	f.Add([]byte("# of whom\n\n checkout \tsha256:" + strings.Repeat("0A", 32) + "\r\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		tokens, err := caller.ParseTokens(text)
		if (tokens == nil) == (err == nil) {
			t.Errorf("tokens %v, error %v", tokens, err)
		}
		for _, line := range watch.Lines(text) {
			name, digest, _ := strings.Cut(strings.ReplaceAll(line, "\t", " "), " ")
			digest, found := strings.CutPrefix(strings.ToLower(strings.TrimLeft(digest, " ")), "sha256:")
			if err == nil && (name == "" || !found || len(digest) != 64) {
				t.Errorf("took the line %q", line)
			}
		}
	})
}

// FuzzAuthorization: no metadata except the token itself identifies anybody.
func FuzzAuthorization(f *testing.F) {
	const token = "secret-of-checkout"
	admission := withTokens(parseTokens(f, lineOf("checkout", token)))
	f.Add("Bearer " + token)
	f.Add("Basic x")
	f.Add("Bearer \x00")
	f.Fuzz(func(t *testing.T, value string) {
		who, err := admission.Authenticate(caller.Identity{Kind: caller.Loopback}, []string{value})
		scheme, rest, _ := strings.Cut(value, " ")
		if want := strings.EqualFold(scheme, "bearer") && rest == token; (err == nil) != want || (who.String() == "token:checkout") != want {
			t.Errorf("%q is %q, error %v", value, who, err)
		}
	})
}
