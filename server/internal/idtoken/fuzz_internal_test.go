package idtoken

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"testing"
)

// FuzzParseKeySet reads any key set. Each key that is taken is public, of a kind that the listed
// algorithms use, and strong enough, and none is found for an algorithm that is not for it.
func FuzzParseKeySet(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AAAA"},{"kty":"RSA","n":"AQAB","e":"AQAB","use":"enc"}]}`))
	f.Add([]byte(`{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",` +
		`"y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","alg":"ES256"}`))
	f.Add([]byte("\xef\xbb\xbf[]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := parseKeys(text)
		if (err == nil) != (len(keys) > 0) {
			t.Fatalf("%d keys and %v", len(keys), err)
		}
		for _, key := range keys {
			switch k := key.key.(type) {
			case *rsa.PublicKey:
				if k.N.BitLen() < minRSABits {
					t.Errorf("an RSA key of %d bits", k.N.BitLen())
				}
			case *ecdsa.PublicKey, ed25519.PublicKey:
			default:
				t.Errorf("a key of type %T", k)
			}
			for _, algorithm := range algorithms {
				found, ok := keySet{key}.find(header{algorithm: algorithm, keyID: key.id})
				if ok && !isFor(found, string(algorithm)) {
					t.Errorf("a %T for %s", found, algorithm)
				}
			}
		}
	})
}

// isFor says whether an algorithm uses keys of that type.
func isFor(key any, algorithm string) bool {
	switch key.(type) {
	case *rsa.PublicKey:
		return algorithm[:2] == "RS" || algorithm[:2] == "PS"
	case *ecdsa.PublicKey:
		return algorithm[:2] == "ES"
	default:
		return algorithm == "EdDSA"
	}
}
