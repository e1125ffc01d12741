package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"hash"
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
}

// signers holds those of one secret that are not in use. The secret keeps it, so that nothing leads
// to a secret that is no longer used: a sync.Pool would, until the garbage collector has run twice.
type signers chan *signer

// maxSigners is more than sign at once.
const maxSigners = 16

func signersOf(secret sensitive.String) signers {
	return secret.Keep(newSigners).(signers) //nolint:forcetypeassert // nobody else keeps anything with a secret
}

func newSigners() any { return make(signers, maxSigners) }

func (s signers) take(secret sensitive.String) *signer {
	select {
	case free := <-s:
		return free
	default:
		return &signer{mac: hmac.New(sha256.New, []byte(secret.Reveal()))}
	}
}

func (s signers) give(used *signer) {
	select {
	case s <- used:
	default:
	}
}

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
