package token

import (
	"runtime"
	"testing"
	"time"
	"weak"

	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

// Whoever drops a secret drops what signs with it: one collection finds neither.
func TestASignerGoesWithItsSecret(t *testing.T) {
	t.Parallel()
	secrets := []sensitive.String{sensitive.New("secret-0123456789-0123456789-01").Keeping()}
	kept := signedOnce(t, secrets[0])
	runtime.GC()
	if kept.Value() == nil {
		t.Error("the signer is gone while its secret is there")
	}
	runtime.KeepAlive(secrets)
	clear(secrets)
	runtime.GC()
	if kept.Value() != nil {
		t.Error("the signer has outlived its secret")
	}
}

// signedOnce returns the one signer that a secret keeps then.
//
//go:noinline
func signedOnce(t *testing.T, secret sensitive.String) weak.Pointer[signer] {
	t.Helper()
	if _, err := Sign(secret, customer.Customer{ExternalID: "ada"}, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	free := signersOf(secret)
	s := free.take(secret)
	free.give(s)
	return weak.Make(s)
}
