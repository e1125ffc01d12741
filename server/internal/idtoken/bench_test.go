package idtoken_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwa"
)

// BenchmarkVerify is what a proof costs a call.
func BenchmarkVerify(b *testing.B) {
	now := newClock()
	issuer := describe("")
	issuer.JWKSFile = filepath.Join(b.TempDir(), "jwks.json")
	if err := os.WriteFile(issuer.JWKSFile, []byte(allKeys(b)), 0o600); err != nil {
		b.Fatal(err)
	}
	v := newVerifier(b, issuer, now.read)
	for _, signer := range []struct {
		alg jwa.SignatureAlgorithm
		key any
		kid string
	}{{jwa.RS256, rsaKey(), "rsa"}, {jwa.ES256, ecKey(), "ec"}, {jwa.EdDSA, edKey(), "ed"}} {
		token := signed(b, signer.alg, signer.key, kid(signer.kid), claims(now.read(), nil))
		b.Run(signer.alg.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := v.Prove(b.Context(), token, ada); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
