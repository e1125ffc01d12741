package token

import (
	"slices"
	"strings"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// MalformedError is why a text is not a chat token: one of the phrases below, which repeat nothing of the
// text. The zero value is no fault.
type MalformedError string

// Error returns the phrase.
func (m MalformedError) Error() string { return string(m) }

// What is wrong with the form. Each phrase is at most 64 bytes, as an audit record's reason.
const (
	errNewlineInside       MalformedError = "there is a newline in it"
	errSpaceInside         MalformedError = "there is white space in it"
	errBearerBefore        MalformedError = "the word Bearer is not part of the token"
	errQuotesAround        MalformedError = "there are quotes around it"
	errJSONForm            MalformedError = "it is JSON and not a token of three parts"
	errPercentEncoded      MalformedError = "it is percent-encoded"
	errPadded              MalformedError = "its base64url is padded with ="
	errPlainBase64         MalformedError = "it is base64, with + and /, and not base64url"
	errForeignCharacter    MalformedError = "there is a character in it that no token has"
	errNoParts             MalformedError = "it is not three parts with a dot between them"
	errEncrypted           MalformedError = "it has five parts: it is encrypted and not signed"
	errTooLong             MalformedError = "it is longer than 4,096 bytes"
	errUnsigned            MalformedError = "there is no signature after the second dot"
	errHeaderUnreadable    MalformedError = "the header is not base64url of a JSON object"
	errPayloadUnreadable   MalformedError = "the payload is not base64url of a JSON object"
	errSignatureUnreadable MalformedError = "the signature is not base64url"
	errCritical            MalformedError = "the header names fields that must be understood (crit)"
	errNoAlgorithm         MalformedError = "the header names no alg"
	errOtherCase           MalformedError = "alg is HS256 in capitals"
	errOtherAlgorithm      MalformedError = "the header names another alg than HS256"
)

// formFault returns what keeps a text from being three parts of base64url. Lenient parsers take more,
// such as padding and line breaks; NodeJS libraries do not.
func formFault(text string) MalformedError {
	for _, test := range []struct {
		fails bool
		why   MalformedError
	}{
		{len(text) > MaxBytes, errTooLong},
		{strings.ContainsAny(text, "\r\n"), errNewlineInside},
		{len(text) > 7 && strings.EqualFold(text[:7], "Bearer "), errBearerBefore},
		{strings.HasPrefix(text, "{"), errJSONForm},
		{strings.ContainsAny(text, `"'`), errQuotesAround},
		{strings.ContainsAny(text, " \t\u00a0\ufeff"), errSpaceInside},
		{strings.Contains(text, "%"), errPercentEncoded},
		{strings.Contains(text, "="), errPadded},
		{strings.ContainsAny(text, "+/"), errPlainBase64},
		{strings.ContainsFunc(text, outsideCompactForm), errForeignCharacter},
		{strings.Count(text, ".") == 4, errEncrypted},
		{strings.Count(text, ".") != 2, errNoParts},
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
func headerFault(fields map[string]any) MalformedError {
	if _, found := fields[jws.CriticalKey]; found {
		return errCritical
	}
	algorithm, found := fields[jws.AlgorithmKey]
	name, _ := algorithm.(string)
	switch {
	case !found:
		return errNoAlgorithm
	case name == jwa.HS256.String():
		return ""
	case strings.EqualFold(name, jwa.HS256.String()):
		return errOtherCase
	case slices.Contains(jwa.SignatureAlgorithms(), jwa.SignatureAlgorithm(name)):
		return MalformedError("the header names " + name)
	default:
		return errOtherAlgorithm
	}
}
