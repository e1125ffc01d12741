// Package idtoken proves who a user is with the user's OpenID Connect ID token. It checks the
// token's signature, issuer, audience and age. The issuer's keys come from a file or a URL.
package idtoken

import (
	"cmp"
	"context"
	"crypto"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v2/jws"
	"github.com/lestrrat-go/jwx/v2/jwt"

	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/watch"
)

// Why a user is not proven. Errors wrap one of these. The text that ErrUnproven errors add is
// fixed, and clients may see it.
var (
	ErrUnproven    = errors.New("the user's ID token proves nothing")
	ErrUnavailable = errors.New("the issuer's keys are not available")

	errUnknownKey = unproven("no key of the issuer has its kid and alg")
)

const (
	maxTokenSize = 8 << 10 // bytes
	// skew is how far the issuer's clock may differ from ours.
	skew = 30 * time.Second

	defaultMaxAge = 10 * time.Minute
)

// Issuer is what a policy says about ID tokens. It is comparable with ==.
type Issuer struct {
	Issuer   string        // the iss claim, exactly
	Audience string        // the client ID that tokens must be issued to
	JWKSFile string        // the issuer's keys (RFC 7517): a file
	JWKSURL  string        // or a URL: https, or http to a loopback address
	MaxAge   time.Duration // since iat; 0: 10 minutes

	ExternalIDClaim string // claim with the customer's external ID; empty: none
	EmailClaim      string // claim with the customer's email, which must be verified; empty: none
}

// Options further configure a Verifier. The zero value is usable.
type Options struct {
	Now      func() time.Time // nil: time.Now
	Logger   *slog.Logger     // nil: nothing is logged
	Follower *watch.Follower  // keeps keys in a file current; nil: they are read once
}

// Verifier verifies ID tokens of one issuer.
type Verifier struct {
	issuer Issuer
	now    func() time.Time
	keys   keys
}

// keys are an issuer's public keys, wherever they come from.
type keys interface {
	// find returns the key that a token was signed with. Errors wrap ErrUnproven or ErrUnavailable.
	find(ctx context.Context, h header) (crypto.PublicKey, error)
	// load makes sure that the keys are the issuer's current ones. The error wraps ErrUnavailable.
	load(ctx context.Context) error
	close()
}

// New returns a verifier. Keys in a file are read at once, and followed until Close; those behind a
// URL are loaded when the first token comes.
func New(issuer Issuer, options Options) (*Verifier, error) {
	if err := issuer.Check(); err != nil {
		return nil, err
	}
	issuer.MaxAge = issuer.EffectiveMaxAge()
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	if issuer.JWKSURL != "" {
		return &Verifier{issuer, options.Now, newURLKeys(issuer, options)}, nil
	}
	keys, err := openFileKeys(issuer, options)
	if err != nil {
		return nil, err
	}
	return &Verifier{issuer, options.Now, keys}, nil
}

// LoadKeys makes sure that the issuer's current keys are loaded, as a token with an unknown key
// would. The error wraps ErrUnavailable.
func (v *Verifier) LoadKeys(ctx context.Context) error { return v.keys.load(ctx) }

// Close stops following the file of keys. The verifier still works, with the last good keys.
func (v *Verifier) Close() { v.keys.close() }

// Check returns what is wrong with the issuer, in terms of the keys of a policy file.
func (i *Issuer) Check() error {
	switch {
	case i.Issuer == "" || i.Audience == "":
		return errors.New("issuer and audience are required")
	case (i.JWKSFile == "") == (i.JWKSURL == ""):
		return errors.New("one of jwks_file and jwks_url is required")
	case i.ExternalIDClaim == "" && i.EmailClaim == "":
		return errors.New("at least one of external_id and email must name a claim")
	case i.MaxAge != 0 && (i.MaxAge < time.Second || i.MaxAge > 24*time.Hour):
		return errors.New("max_age must be from 1s to 24h")
	case i.JWKSURL != "":
		return checkURL(i.JWKSURL)
	default:
		return nil
	}
}

// EffectiveMaxAge returns MaxAge or its default.
func (i *Issuer) EffectiveMaxAge() time.Duration { return cmp.Or(i.MaxAge, defaultMaxAge) }

// Verify returns the identifiers that the token proves. An email address counts only if the issuer
// says that it is verified.
func (v *Verifier) Verify(ctx context.Context, text string) (customer.Customer, error) {
	header, err := parseHeader(text)
	if err != nil {
		return customer.Customer{}, err
	}
	key, err := v.keys.find(ctx, header)
	if err != nil {
		return customer.Customer{}, err
	}
	token, err := jwt.Parse([]byte(text), jwt.WithKey(header.algorithm, key), jwt.WithValidate(false))
	if err != nil {
		return customer.Customer{}, unproven("its signature or its form is wrong")
	}
	if err := v.validate(token); err != nil {
		return customer.Customer{}, err
	}
	return v.identifiers(token), nil
}

func unproven(why string) error { return fmt.Errorf("%w: %s", ErrUnproven, why) }

// parseHeader reads a token in compact form, the only form of ID tokens.
func parseHeader(text string) (header, error) {
	malformed := unproven("it is not a JWT in compact form of at most 8 KiB")
	if len(text) > maxTokenSize || !isCompact(text) {
		return header{}, malformed
	}
	message, err := jws.ParseString(text)
	if err != nil {
		return header{}, malformed
	}
	protected := message.Signatures()[0].ProtectedHeaders()
	if _, critical := protected.Get(jws.CriticalKey); critical {
		return header{}, unproven("it has unknown critical header fields")
	}
	// Access tokens (RFC 9068) and logout tokens have a typ of their own.
	if typ := protected.Type(); typ != "" && !strings.EqualFold(typ, "JWT") {
		return header{}, unproven("its typ is not JWT, so it is not an ID token")
	}
	if !slices.Contains(algorithms, protected.Algorithm()) {
		return header{}, unproven("its alg is not an asymmetric one")
	}
	return header{protected.Algorithm(), protected.KeyID()}, nil
}

// isCompact reports whether the text is three parts of canonical base64. jwx accepts other
// spellings too.
func isCompact(text string) bool {
	parts := strings.Split(text, ".")
	for _, part := range parts {
		if _, err := strictBase64.DecodeString(part); err != nil || strings.ContainsAny(part, "\r\n") {
			return false
		}
	}
	return len(parts) == 3
}

var strictBase64 = base64.RawURLEncoding.Strict()

// validate checks the claims of a token whose signature is good.
func (v *Verifier) validate(token jwt.Token) error {
	err := jwt.Validate(token,
		jwt.WithClock(jwt.ClockFunc(v.now)), jwt.WithAcceptableSkew(skew),
		jwt.WithRequiredClaim(jwt.ExpirationKey), jwt.WithRequiredClaim(jwt.IssuedAtKey),
		jwt.WithIssuer(v.issuer.Issuer),
	)
	switch {
	case errors.Is(err, jwt.ErrTokenExpired()):
		return unproven("it has expired")
	case errors.Is(err, jwt.ErrTokenNotYetValid()), errors.Is(err, jwt.ErrInvalidIssuedAt()):
		return unproven("it is not valid yet")
	case errors.Is(err, jwt.ErrInvalidIssuer()):
		return unproven("it is from another issuer")
	case err != nil:
		return unproven("exp, iat and iss are required")
	case v.now().Sub(token.IssuedAt()) > v.issuer.MaxAge:
		return unproven("it was issued longer ago than max_age")
	case isEvent(token):
		return unproven("it is a logout or event token, not an ID token")
	case !v.isForUs(token):
		return unproven("it is for another audience")
	default:
		return nil
	}
}

// isEvent reports whether the token is a security event, such as a logout token (OpenID Connect
// Back-Channel Logout, section 2.4).
func isEvent(token jwt.Token) bool {
	_, found := token.Get("events")
	return found
}

// isForUs reports whether our client is the token's only audience, or one of several and the
// authorized party (OpenID Connect Core, section 3.1.3.7).
func (v *Verifier) isForUs(token jwt.Token) bool {
	audience := token.Audience()
	party, hasParty := token.Get("azp")
	if !slices.Contains(audience, v.issuer.Audience) || hasParty && party != v.issuer.Audience {
		return false
	}
	return len(audience) == 1 || hasParty
}

func (v *Verifier) identifiers(token jwt.Token) customer.Customer {
	proven := customer.Customer{ExternalID: textClaim(token, v.issuer.ExternalIDClaim)}
	if verified, _ := token.Get("email_verified"); verified == true {
		proven.Email = textClaim(token, v.issuer.EmailClaim)
	}
	return proven
}

func textClaim(token jwt.Token, name string) string {
	if name == "" {
		return ""
	}
	value, _ := token.Get(name)
	text, _ := value.(string)
	return text
}
