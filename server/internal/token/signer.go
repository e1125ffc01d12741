package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

// signer makes tokens under one secret. Its memory is used again: to key an HMAC takes longer than
// to sign with it.
type signer struct {
	mac     hash.Hash
	payload []byte
	token   []byte
	sum     [sha256.Size]byte
	place   uint32 // in signers
}

// maxSigners is how many of a secret wait. More sign at once only on larger machines: those are made
// anew.
const maxSigners = 16

// signers holds those of one secret that are not in use, and has no lock. The secret keeps it, so
// that nothing leads to a secret that is no longer used: a sync.Pool would, until the garbage
// collector has run twice.
type signers [maxSigners]atomic.Pointer[signer]

func signersOf(secret sensitive.String) *signers {
	return secret.Keep(newSigners).(*signers) //nolint:forcetypeassert // nobody else keeps anything with a secret
}

func newSigners() any { return new(signers) }

// take looks for one from a random place on, where others hardly look at the same time.
func (s *signers) take(secret sensitive.String) *signer {
	start := rand.Uint32() //nolint:gosec // it chooses memory
	for i := range uint32(maxSigners) {
		place := (start + i) % maxSigners
		if s[place].Load() == nil {
			continue
		}
		if free := s[place].Swap(nil); free != nil {
			return free
		}
	}
	return &signer{mac: hmac.New(sha256.New, []byte(secret.Reveal())), place: start % maxSigners}
}

// give puts one back into its place, or drops it if another stands there.
func (s *signers) give(used *signer) { s[used.place].CompareAndSwap(nil, used) }

func (s *signer) sign(c customer.Customer, issued time.Time) string {
	s.payload = appendPayload(s.payload[:0], c, issued)
	s.token = append(append(s.token[:0], encodedHeader...), '.')
	s.token = base64.RawURLEncoding.AppendEncode(s.token, s.payload)
	s.mac.Reset()
	_, _ = s.mac.Write(s.token)
	s.token = append(s.token, '.')
	s.token = base64.RawURLEncoding.AppendEncode(s.token, s.mac.Sum(s.sum[:0]))
	return string(s.token)
}
