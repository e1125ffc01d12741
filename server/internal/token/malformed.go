package token

import (
	"slices"
	"strings"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// Malformed is why a text is not a chat token: one of the phrases below, which repeat nothing of the
// text. The zero value is no fault.
type Malformed string

// Error returns the phrase.
func (m Malformed) Error() string { return string(m) }

// What is wrong with the form. Each phrase is at most 64 bytes, as an audit record's reason.
const (
	newlineInside       Malformed = "there is a newline in it"
	spaceInside         Malformed = "there is white space in it"
	bearerBefore        Malformed = "the word Bearer is not part of the token"
	quotesAround        Malformed = "there are quotes around it"
	jsonForm            Malformed = "it is JSON and not a token of three parts"
	percentEncoded      Malformed = "it is percent-encoded"
	padded              Malformed = "its base64url is padded with ="
	plainBase64         Malformed = "it is base64, with + and /, and not base64url"
	foreignCharacter    Malformed = "there is a character in it that no token has"
	noParts             Malformed = "it is not three parts with a dot between them"
	encrypted           Malformed = "it has five parts: it is encrypted and not signed"
	tooLong             Malformed = "it is longer than 4,096 bytes"
	unsigned            Malformed = "there is no signature after the second dot"
	headerUnreadable    Malformed = "the header is not base64url of a JSON object"
	payloadUnreadable   Malformed = "the payload is not base64url of a JSON object"
	signatureUnreadable Malformed = "the signature is not base64url"
	critical            Malformed = "the header names fields that must be understood (crit)"
	noAlgorithm         Malformed = "the header names no alg"
	otherCase           Malformed = "alg is HS256 in capitals"
	otherAlgorithm      Malformed = "the header names another alg than HS256"
)

// formFault returns what keeps a text from being three parts of base64url. Lenient parsers take more,
// such as padding and line breaks; NodeJS libraries do not.
func formFault(text string) Malformed {
	for _, test := range []struct {
		fails bool
		why   Malformed
	}{
		{len(text) > MaxBytes, tooLong},
		{strings.ContainsAny(text, "\r\n"), newlineInside},
		{len(text) > 7 && strings.EqualFold(text[:7], "Bearer "), bearerBefore},
		{strings.HasPrefix(text, "{"), jsonForm},
		{strings.ContainsAny(text, `"'`), quotesAround},
		{strings.ContainsAny(text, " \t\u00a0\ufeff"), spaceInside},
		{strings.Contains(text, "%"), percentEncoded},
		{strings.Contains(text, "="), padded},
		{strings.ContainsAny(text, "+/"), plainBase64},
		{strings.ContainsFunc(text, outsideCompactForm), foreignCharacter},
		{strings.Count(text, ".") == 4, encrypted},
		{strings.Count(text, ".") != 2, noParts},
	} {
		if test.fails {
			return test.why
		}
	}
	return ""
}

func outsideCompactForm(r rune) bool {
	letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	return !letter && (r < '0' || '9' < r) && r != '-' && r != '_' && r != '.'
}

// headerFault returns why the header is not that of a chat token.
func headerFault(fields map[string]any) Malformed {
	if _, found := fields[jws.CriticalKey]; found {
		return critical
	}
	algorithm, found := fields[jws.AlgorithmKey]
	name, _ := algorithm.(string)
	switch {
	case !found:
		return noAlgorithm
	case name == jwa.HS256.String():
		return ""
	case strings.EqualFold(name, jwa.HS256.String()):
		return otherCase
	case slices.Contains(jwa.SignatureAlgorithms(), jwa.SignatureAlgorithm(name)):
		return Malformed("the header names " + name)
	default:
		return otherAlgorithm
	}
}
