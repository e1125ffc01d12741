package token

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"

	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

// ErrMalformed is the error of Parse. It does not say what is wrong: the text
// is somebody's token.
var ErrMalformed = errors.New("not a chat token: not a JWT, another alg, or no usable claims")

// maxIssueTime is the last second of the year 9999, the last that a
// google.protobuf.Timestamp holds.
const maxIssueTime = 253402300799

// strictBase64 takes one spelling for each signature: with the lenient decoder
// a changed last character could leave a signature good.
var strictBase64 = base64.RawURLEncoding.Strict()

// Parsed is a well-formed token whose signature has not been checked. The zero
// value is no token and has no good signature.
type Parsed struct {
	customer     customer.Customer
	issued       time.Time
	signingInput []byte
	signature    []byte
}

// Parse reads a token in compact form. A usable token has an iat in whole
// seconds of the years 1970 to 9999 and at least one identifier that is a
// string and not empty. Claims and header fields besides those of a chat token
// are ignored, but for "crit", which whoever cannot honour it must refuse
// (RFC 7515, section 4.1.11).
func Parse(text string) (Parsed, error) {
	signingInput, encodedSignature, ok := cutCompact(text)
	if !ok {
		return Parsed{}, ErrMalformed
	}
	message, err := jws.ParseString(text)
	if err != nil {
		return Parsed{}, ErrMalformed
	}
	headers := message.Signatures()[0].ProtectedHeaders()
	if _, critical := headers.Get(jws.CriticalKey); critical || headers.Algorithm() != jwa.HS256 {
		return Parsed{}, ErrMalformed
	}
	who, issued, ok := parseClaims(message.Payload())
	if !ok {
		return Parsed{}, ErrMalformed
	}
	signature, err := strictBase64.DecodeString(encodedSignature)
	if err != nil {
		return Parsed{}, ErrMalformed
	}
	return Parsed{who, issued, []byte(signingInput), signature}, nil
}

// cutCompact returns the signing input and the signature of a text in compact
// form. jwx's own
// parser also takes the JSON form, padding, the other alphabet of base64 and
// line breaks, none of which NodeJS libraries take.
func cutCompact(text string) (string, string, bool) {
	if len(text) > MaxBytes || strings.Count(text, ".") != 2 || strings.ContainsFunc(text, outsideCompactForm) {
		return "", "", false
	}
	dot := strings.LastIndexByte(text, '.')
	return text[:dot], text[dot+1:], true
}

func outsideCompactForm(r rune) bool {
	letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	return !letter && (r < '0' || '9' < r) && r != '-' && r != '_' && r != '.'
}

// parseClaims reads the claims by their exact names, as JavaScript does;
// encoding/json would match "EXTERNALID" to a struct's field as well.
func parseClaims(payload []byte) (customer.Customer, time.Time, bool) {
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		return customer.Customer{}, time.Time{}, false
	}
	externalID, _ := claims["externalId"].(string)
	email, _ := claims["email"].(string)
	who := customer.Customer{ExternalID: externalID, Email: email}
	iat, isNumber := claims["iat"].(float64)
	if who == (customer.Customer{}) || !isNumber || iat != math.Trunc(iat) || iat < 0 || iat > maxIssueTime {
		return customer.Customer{}, time.Time{}, false
	}
	return who, time.Unix(int64(iat), 0).UTC(), true
}

// SignedWith reports, in constant time, whether the signature is the secret's.
func (p Parsed) SignedWith(secret sensitive.String) bool {
	verifier, err := jws.NewVerifier(jwa.HS256)
	if err != nil || p.signingInput == nil {
		return false
	}
	return verifier.Verify(p.signingInput, p.signature, []byte(secret.Reveal())) == nil
}

// Customer returns the identifiers as they were signed.
func (p Parsed) Customer() customer.Customer { return p.customer }

// IssueTime returns iat.
func (p Parsed) IssueTime() time.Time { return p.issued }

// ExpireTime returns the time from which on Kustomer refuses the token.
func (p Parsed) ExpireTime() time.Time { return p.issued.Add(Lifetime) }
