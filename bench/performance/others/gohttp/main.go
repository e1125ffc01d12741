// Gohttp is what a Go user would write instead of the sidecar: net/http and golang-jwt.
package main

import (
	"encoding/json"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func main() {
	secret := []byte(os.Getenv("SECRET_KEY"))
	http.HandleFunc("POST /chat-token", func(w http.ResponseWriter, r *http.Request) {
		var request struct {
			ExternalID string `json:"external_id"`
		}
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		claims := jwt.MapClaims{"externalId": request.ExternalID, "iat": time.Now().Unix()}
		token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(secret)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{"token": token})
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}
