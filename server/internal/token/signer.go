package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"sync"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/customer"
)

// signer makes tokens under one secret. Its memory is used again: to key an HMAC takes longer than
// to sign with it.
type signer struct {
	secret  string
	mac     hash.Hash
	payload []byte
	token   []byte
	sum     [sha256.Size]byte
}

// signers holds those that are not in use. The garbage collector empties it, so the states of a
// secret that has been replaced do not stay.
var signers sync.Pool

func signerFor(secret string) *signer {
	if s, ok := signers.Get().(*signer); ok && s.secret == secret {
		return s
	}
	return &signer{secret: secret, mac: hmac.New(sha256.New, []byte(secret))}
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
