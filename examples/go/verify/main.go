// Verify checks tokens with golang-jwt: each token of a file such as
// server/internal/token/testdata/vectors.json must be signed with its secret
// and hold its claims and nothing else.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"maps"
	"os"

	"github.com/golang-jwt/jwt/v5"
)

type vector struct {
	Name       string `json:"name"`
	Secret     string `json:"secret"`
	ExternalID string `json:"external_id"`
	Email      string `json:"email"`
	IssuedAt   int64  `json:"iat"`
	Token      string `json:"token"`
}

func main() {
	log.SetFlags(0)
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	var vectors []vector
	if err := json.Unmarshal(text, &vectors); err != nil {
		log.Fatal(err)
	}
	for _, v := range vectors {
		if err := v.check(); err != nil {
			log.Fatalf("%s: %v", v.Name, err)
		}
	}
	fmt.Println(len(vectors), "tokens verified with golang-jwt")
}

func (v vector) check() error {
	want := jwt.MapClaims{"iat": float64(v.IssuedAt)}
	if v.ExternalID != "" {
		want["externalId"] = v.ExternalID
	}
	if v.Email != "" {
		want["email"] = v.Email
	}
	claims := jwt.MapClaims{}
	key := func(*jwt.Token) (any, error) { return []byte(v.Secret), nil }
	if _, err := jwt.ParseWithClaims(v.Token, claims, key, jwt.WithValidMethods([]string{"HS256"})); err != nil {
		return err
	}
	if !maps.Equal(claims, want) {
		return fmt.Errorf("claims %v, want %v", claims, want)
	}
	return nil
}
