package idtoken

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/lestrrat-go/jwx/v2/jwt"

	"github.com/chatidentity/chatidentity/server/internal/customer"
)

// emailVerified is the claim by which an issuer vouches for an email address.
const emailVerified = "email_verified"

// parseClaims reads the payload of a token whose signature is good.
func parseClaims(payload []byte) (jwt.Token, error) {
	token := jwt.New()
	if json.Unmarshal(payload, token) == nil {
		return token, nil
	}
	var claims map[string]any
	_ = json.Unmarshal(payload, &claims) // then there are none
	for _, name := range slices.Sorted(maps.Keys(claims)) {
		if token.Set(name, claims[name]) != nil {
			return nil, unproven(name + " has the wrong type")
		}
	}
	return nil, unproven("its payload is not a JSON object")
}

// validate checks whether the token is a current one, from the issuer and for us.
func (v *Verifier) validate(token jwt.Token) error {
	for _, name := range []string{jwt.IssuerKey, jwt.AudienceKey, jwt.IssuedAtKey, jwt.ExpirationKey} {
		if _, found := token.Get(name); !found {
			return unproven("it has no " + name)
		}
	}
	err := jwt.Validate(token,
		jwt.WithClock(jwt.ClockFunc(v.now)), jwt.WithAcceptableSkew(skew), jwt.WithIssuer(v.issuer.Issuer))
	switch {
	case errors.Is(err, jwt.ErrTokenExpired()):
		return unproven("it has expired (exp)")
	case errors.Is(err, jwt.ErrTokenNotYetValid()):
		return unproven("it is not valid yet (nbf)")
	case errors.Is(err, jwt.ErrInvalidIssuedAt()):
		return unproven("it was issued in the future (iat)")
	case errors.Is(err, jwt.ErrInvalidIssuer()):
		return unproven("it is from another issuer (iss)")
	case err != nil:
		return unproven("its exp, iat, nbf or iss is not valid")
	case v.now().Sub(token.IssuedAt()) > v.issuer.MaxAge:
		return unproven("it was issued longer ago (iat) than max_age")
	case isEvent(token):
		return unproven("it has events, so it is a logout or event token and not an ID token")
	default:
		return v.checkAudience(token)
	}
}

// isEvent reports whether the token is a security event, such as a logout token (OpenID Connect
// Back-Channel Logout, section 2.4).
func isEvent(token jwt.Token) bool {
	_, found := token.Get("events")
	return found
}

// checkAudience accepts a token whose only audience our client is, or of whose several audiences it is
// the authorized party (OpenID Connect Core, section 3.1.3.7).
func (v *Verifier) checkAudience(token jwt.Token) error {
	audience := token.Audience()
	party, hasParty := token.Get("azp")
	switch {
	case !slices.Contains(audience, v.issuer.Audience):
		return unproven("it is for another audience (aud)")
	case hasParty && party != v.issuer.Audience:
		return unproven("it was issued to another client (azp)")
	case len(audience) > 1 && !hasParty:
		return unproven("it is for several audiences (aud) and does not say which one it was issued to (azp)")
	default:
		return nil
	}
}

// compare checks each identifier that the customer has against its claim.
func (v *Verifier) compare(token jwt.Token, who customer.Customer) error {
	for _, identifier := range []struct{ field, value, claim string }{
		{customer.FieldExternalID, who.ExternalID, v.issuer.ExternalIDClaim},
		{customer.FieldEmail, who.Email, v.issuer.EmailClaim},
	} {
		if identifier.value == "" {
			continue
		}
		if identifier.claim == "" {
			return unproven("the policy names no claim for " + identifier.field)
		}
		claimed, found := token.Get(identifier.claim)
		text, isText := claimed.(string)
		switch {
		case !found:
			return unproven(fmt.Sprintf("it has no %s, which would prove %s", identifier.claim, identifier.field))
		case !isText || text == "":
			return unproven(fmt.Sprintf("%s, which would prove %s, is empty or not text", identifier.claim, identifier.field))
		case identifier.field == customer.FieldEmail && !isVerified(token):
			return unproven(fmt.Sprintf("%s is not true, so %s does not prove %s",
				emailVerified, identifier.claim, identifier.field))
		case text != identifier.value:
			return fmt.Errorf("%w: its %s is not the %s of the request", ErrMismatch, identifier.claim, identifier.field)
		}
	}
	return nil
}

// isVerified reports whether the issuer says that the email address is the user's. Apple and Cognito say
// so in text.
func isVerified(token jwt.Token) bool {
	verified, _ := token.Get(emailVerified)
	return verified == true || verified == "true"
}
