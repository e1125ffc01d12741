package idtoken

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"slices"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"

	"github.com/chatidentity/chatidentity/server/internal/watch"
)

// minRSABits is the minimum of RFC 7518, section 3.3.
const minRSABits = 2048

// algorithms are the accepted signature algorithms: all asymmetric ones. A symmetric algorithm
// would require the issuer's secret here, and "none" requires nothing.
var algorithms = []jwa.SignatureAlgorithm{
	jwa.RS256, jwa.RS384, jwa.RS512, jwa.PS256, jwa.PS384, jwa.PS512, jwa.ES256, jwa.ES384, jwa.ES512, jwa.EdDSA,
}

// header is what a token says about its signature.
type header struct {
	algorithm jwa.SignatureAlgorithm
	keyID     string // may be empty
}

// keySet is an issuer's public keys. It is immutable.
type keySet []publicKey

type publicKey struct {
	id         string
	algorithms []jwa.SignatureAlgorithm // that the key itself allows
	key        crypto.PublicKey
}

// parseKeys reads a JWK set. It skips keys that are not for verifying signatures or are of an
// unknown type (RFC 7517, section 5). A set without a usable key is an error.
func parseKeys(text []byte) (keySet, error) {
	set, err := jwk.Parse(watch.WithoutMark(text), jwk.WithIgnoreParseError(true))
	if err != nil {
		return nil, errors.New("it is not a JWK set")
	}
	var keys keySet
	for i := range set.Len() {
		if entry, ok := set.Key(i); ok {
			if key, usable := parseKey(entry); usable {
				keys = append(keys, key)
			}
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("it holds no public key that checks signatures")
	}
	return keys, nil
}

func parseKey(entry jwk.Key) (publicKey, bool) {
	if entry.KeyUsage() != "" && entry.KeyUsage() != string(jwk.ForSignature) {
		return publicKey{}, false
	}
	var raw any
	if entry.Raw(&raw) != nil {
		return publicKey{}, false
	}
	allowed := algorithmsOf(raw)
	if own := entry.Algorithm().String(); own != "" {
		if !slices.Contains(allowed, jwa.SignatureAlgorithm(own)) {
			return publicKey{}, false
		}
		allowed = []jwa.SignatureAlgorithm{jwa.SignatureAlgorithm(own)}
	}
	return publicKey{entry.KeyID(), allowed, raw}, len(allowed) > 0
}

// algorithmsOf returns the algorithms that a public key can be used with: none for a private or
// symmetric key.
func algorithmsOf(raw any) []jwa.SignatureAlgorithm {
	switch key := raw.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() >= minRSABits {
			return []jwa.SignatureAlgorithm{jwa.RS256, jwa.RS384, jwa.RS512, jwa.PS256, jwa.PS384, jwa.PS512}
		}
	case *ecdsa.PublicKey:
		if _, err := key.ECDH(); err != nil { // not a point of its curve
			return nil
		}
		switch key.Curve.Params().BitSize {
		case 256: //nolint:mnd // the curves' names
			return []jwa.SignatureAlgorithm{jwa.ES256}
		case 384: //nolint:mnd // the curves' names
			return []jwa.SignatureAlgorithm{jwa.ES384}
		case 521: //nolint:mnd // the curves' names
			return []jwa.SignatureAlgorithm{jwa.ES512}
		}
	case ed25519.PublicKey:
		if len(key) == ed25519.PublicKeySize {
			return []jwa.SignatureAlgorithm{jwa.EdDSA}
		}
	}
	return nil
}

// find returns the key with the header's ID and algorithm or, if the header has no ID, the only key
// for its algorithm.
func (s keySet) find(h header) (crypto.PublicKey, bool) {
	var found crypto.PublicKey
	for _, key := range s {
		if h.keyID != "" && h.keyID != key.id || !slices.Contains(key.algorithms, h.algorithm) {
			continue
		}
		if found != nil {
			return nil, false
		}
		found = key.key
	}
	return found, found != nil
}
