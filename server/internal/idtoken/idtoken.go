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
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v2/jws"

	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/watch"
)

// Why a user is not proven. Errors wrap one of these. The text that ErrUnproven and ErrMismatch errors
// add names the claim at fault and never its value, so clients and the log may see it.
var (
	ErrUnproven    = errors.New("the user's ID token does not prove who the user is")
	ErrMismatch    = errors.New("the user's ID token belongs to somebody else")
	ErrUnavailable = errors.New("the issuer's keys are not available")

	errUnknownKey = unproven("no key of the issuer has its kid and alg")
)

const (
	maxTokenSize = 32 << 10 // bytes; those with a list of groups take 20 KiB and more
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
	// Transport fetches keys from a URL. Nil: that of retry, with the system's CAs.
	Transport http.RoundTripper
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

// Prove returns nil if the token proves every identifier that the customer has, to the letter: another
// spelling may be another person. An email address counts only if the issuer says that it is verified.
func (v *Verifier) Prove(ctx context.Context, text string, who customer.Customer) error {
	header, err := parseHeader(text)
	if err != nil {
		return err
	}
	key, err := v.keys.find(ctx, header)
	if err != nil {
		return err
	}
	payload, err := jws.Verify([]byte(text), jws.WithKey(header.algorithm, key))
	if err != nil {
		return unproven("its signature is wrong")
	}
	token, err := parseClaims(payload)
	if err != nil {
		return err
	}
	if err := v.validate(token); err != nil {
		return err
	}
	return v.compare(token, who)
}

func unproven(why string) error { return fmt.Errorf("%w: %s", ErrUnproven, why) }

// parseHeader reads a token in compact form, the only form of ID tokens.
func parseHeader(text string) (header, error) {
	malformed := unproven("it is not a JWT in compact form of at most 32 KiB")
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
