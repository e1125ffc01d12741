//go:build with_jwx

package main

import (
	"log"
	"os"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
)

func init() { //nolint:gochecknoinits // a build tag adds it
	modules = append(modules, func() {
		if _, err := jws.Verify(nil, jws.WithKey(jwa.HS256, []byte("secret"))); err == nil {
			log.Fatal("nothing was verified")
		}
		if _, err := jwk.Parse([]byte(os.Getenv("KEYS"))); err == nil {
			log.Fatal("no key was parsed")
		}
	})
}
