package token

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"

	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

// strictBase64 accepts only one spelling of each signature: with the lenient decoder a changed last
// character could leave a signature good.
var strictBase64 = base64.RawURLEncoding.Strict()

// Parsed is a well-formed token whose signature has not been checked. The zero value is no token and
// has no good signature.
type Parsed struct {
	customer     customer.Customer
	issued       time.Time
	signingInput []byte
	signature    []byte
}

// Parse reads a token in compact form. A usable token has an iat in whole seconds of the years 1970 to
// 9999 and at least one identifier: text that is not empty or, for the external ID, a whole number above
// 0. It ignores other claims and header fields, except "crit", which must be refused by whoever does not
// understand it (RFC 7515, section 4.1.11). The error is a MalformedError.
func Parse(text string) (Parsed, error) {
	if why := formFault(text); why != "" {
		return Parsed{}, why
	}
	dot := strings.LastIndexByte(text, '.')
	signingInput, encodedSignature := text[:dot], text[dot+1:]
	header, payload, _ := strings.Cut(signingInput, ".")
	fields, ok := decodeObject(header)
	if !ok {
		return Parsed{}, errHeaderUnreadable
	}
	if why := headerFault(fields); why != "" {
		return Parsed{}, why
	}
	claims, ok := decodeObject(payload)
	if !ok {
		return Parsed{}, errPayloadUnreadable
	}
	who, issued, why := readClaims(claims)
	if why != "" {
		return Parsed{}, why
	}
	if encodedSignature == "" {
		return Parsed{}, errUnsigned
	}
	signature, err := strictBase64.DecodeString(encodedSignature)
	if err != nil {
		return Parsed{}, errSignatureUnreadable
	}
	return Parsed{who, issued, []byte(signingInput), signature}, nil
}

// decodeObject reads a part of a token.
func decodeObject(part string) (map[string]any, bool) {
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return nil, false
	}
	var object map[string]any
	err = json.Unmarshal(text, &object)
	return object, err == nil && object != nil
}

// SignedWith reports, in constant time, whether the signature is the secret's.
func (p Parsed) SignedWith(secret sensitive.String) bool {
	verifier, err := jws.NewVerifier(jwa.HS256)
	if err != nil || p.signingInput == nil {
		return false
	}
	return verifier.Verify(p.signingInput, p.signature, []byte(secret.Reveal())) == nil
}

// SignatureFault returns, as a fixed phrase of at most 64 bytes, what is wrong with a signature that is
// not the secret's: what people do to a secret on its way into a signer, or that it is another one.
func (p Parsed) SignatureFault(secret sensitive.String) string {
	text := secret.Reveal()
	for _, mistake := range []struct{ key, phrase string }{
		{decodedBase64(text), "it is signed with the secret decoded from base64"},
		{text + "\n", "it is signed with the secret and a newline"},
		{text + "\r\n", "it is signed with the secret and a newline"},
		{strings.TrimSpace(text), "it is signed with the secret without the space around it"},
		{`"` + text + `"`, "it is signed with the secret in quotes"},
	} {
		if mistake.key != "" && mistake.key != text && p.SignedWith(sensitive.New(mistake.key)) {
			return mistake.phrase
		}
	}
	return "it is signed with another secret"
}

// decodedBase64 returns what a lenient decoder makes of a text, or nothing.
func decodedBase64(text string) string {
	standard := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
	decoded, err := base64.RawStdEncoding.DecodeString(standard)
	if err != nil {
		return ""
	}
	return string(decoded)
}

// Customer returns the identifiers as they were signed.
func (p Parsed) Customer() customer.Customer { return p.customer }

// IssueTime returns iat.
func (p Parsed) IssueTime() time.Time { return p.issued }

// ExpireTime returns the time from which on Kustomer refuses the token.
func (p Parsed) ExpireTime() time.Time { return p.issued.Add(Lifetime) }
