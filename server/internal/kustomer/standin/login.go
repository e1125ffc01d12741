package standin

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"
)

// window is the maximum age of a token's iat.
const window = 15 * time.Minute

// Why a login is refused.
var (
	ErrMalformed = errors.New("not an HS256 token with an iat and an identifier")
	ErrSignature = errors.New("the signature is not one of the current secret")
	ErrExpired   = errors.New("iat is 15 minutes old or older")
	ErrFuture    = errors.New("iat is in the future")
)

// Identified is the customer that a login found.
type Identified struct {
	// By is "email" or "externalId". If a token has both, Kustomer uses the email and ignores the
	// other.
	By string
	// Value is the identifier.
	Value string
}

// Login returns what Kustomer's chat would make of a token at the given time, under the current
// secret. An iat in the future is refused; the vendor does not document this, but it is the safe
// assumption.
func (s *Vendor) Login(token string, now time.Time) (Identified, error) {
	decoded, err := split(token)
	if err != nil {
		return Identified{}, err
	}
	var head struct {
		Alg string `json:"alg"`
	}
	if json.Unmarshal(decoded.header, &head) != nil || head.Alg != "HS256" {
		return Identified{}, ErrMalformed
	}
	var claims struct {
		ExternalID externalID `json:"externalId"` //nolint:tagliatelle // the vendor's spelling
		Email      string     `json:"email"`
		IssuedAt   *int64     `json:"iat"`
	}
	if json.Unmarshal(decoded.payload, &claims) != nil || claims.IssuedAt == nil ||
		string(claims.ExternalID)+claims.Email == "" {
		return Identified{}, ErrMalformed
	}
	mac := hmac.New(sha256.New, []byte(s.snapshot().Secret))
	mac.Write([]byte(decoded.signed))
	if !hmac.Equal(mac.Sum(nil), decoded.signature) {
		return Identified{}, ErrSignature
	}
	age := now.Unix() - *claims.IssuedAt
	switch {
	case age < 0:
		return Identified{}, ErrFuture
	case age >= int64(window/time.Second):
		return Identified{}, ErrExpired
	case claims.Email != "":
		return Identified{By: "email", Value: claims.Email}, nil
	default:
		return Identified{By: "externalId", Value: string(claims.ExternalID)}, nil
	}
}

// externalID is text, or a whole number as the vendor's Android sample signs it.
type externalID string

// UnmarshalJSON reads either.
func (e *externalID) UnmarshalJSON(text []byte) error {
	var number uint64
	if json.Unmarshal(text, &number) == nil && number > 0 {
		*e = externalID(text)
		return nil
	}
	return json.Unmarshal(text, (*string)(e))
}

// parts are a token's signed text and its three parts, decoded.
type parts struct {
	signed                     string
	header, payload, signature []byte
}

func split(token string) (parts, error) {
	encoded := strings.Split(token, ".")
	if len(encoded) != 3 || strings.ContainsAny(token, "\r\n") { // the decoder skips line ends
		return parts{}, ErrMalformed
	}
	decoded := make([][]byte, len(encoded))
	for index, part := range encoded {
		raw, err := base64.RawURLEncoding.Strict().DecodeString(part)
		if err != nil {
			return parts{}, ErrMalformed
		}
		decoded[index] = raw
	}
	return parts{
		signed: encoded[0] + "." + encoded[1],
		header: decoded[0], payload: decoded[1], signature: decoded[2],
	}, nil
}

// bearer returns the token of an Authorization header.
func bearer(r *http.Request) (string, bool) {
	return strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
}
