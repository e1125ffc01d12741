package idtoken_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"

	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/idtoken"
)

// The text "true" counts, as Apple and Cognito send it, and nothing else that only looks like it.
func TestWhatCountsAsAVerifiedEmail(t *testing.T) {
	t.Parallel()
	now := newClock()
	v := newVerifier(t, describe(newStandIn(t, allKeys(t)).URL), now.read)
	for _, test := range []struct {
		verified any
		counts   bool
	}{
		{true, true},
		{"true", true},
		{false, false},
		{"false", false},
		{1, false},
		{0, false},
		{"1", false},
		{1.5, false},
		{nil, false},
		{"", false},
		{"True", false},
		{"TRUE", false},
		{" true", false},
		{"true ", false},
		{"yes", false},
		{"verified", false},
		{[]any{true}, false},
		{[]any{"true"}, false},
		{map[string]any{"email": true}, false},
	} {
		t.Run(fmt.Sprintf("%T %v", test.verified, test.verified), func(t *testing.T) {
			t.Parallel()
			token := signed(t, jwa.ES256, ecKey(), kid("ec"), claims(now.read(), map[string]any{"email_verified": test.verified}))
			err := v.Prove(t.Context(), token, ada)
			if test.counts && err != nil {
				t.Errorf("refused: %v", err)
			}
			if !test.counts && (!errors.Is(err, idtoken.ErrUnproven) || !strings.Contains(err.Error(), "email_verified is not true")) {
				t.Errorf("error %v, want one that names email_verified", err)
			}
			if err := v.Prove(t.Context(), token, customer.Customer{ExternalID: ada.ExternalID}); err != nil {
				t.Errorf("the external ID does not depend on it: %v", err)
			}
		})
	}
}

func TestARefusalNamesTheClaimAndNeverItsValue(t *testing.T) {
	t.Parallel()
	now := newClock()
	url := newStandIn(t, allKeys(t)).URL
	v := newVerifier(t, describe(url), now.read)
	noEmail := describe(url)
	noEmail.EmailClaim = ""
	custom := describe(url)
	custom.ExternalIDClaim, custom.EmailClaim = "https://shop.example.com/uid", "upn"
	at := func(d time.Duration) int64 { return now.read().Add(d).Unix() }
	for name, test := range map[string]struct {
		verifier *idtoken.Verifier
		changes  map[string]any
		want     error
		names    []string
	}{
		"expired":                   {v, map[string]any{"exp": at(-time.Minute), "iat": at(-2 * time.Minute)}, idtoken.ErrUnproven, []string{"exp", "expired"}},
		"no exp":                    {v, map[string]any{"exp": nil}, idtoken.ErrUnproven, []string{"no exp"}},
		"exp is text":               {v, map[string]any{"exp": "canary"}, idtoken.ErrUnproven, []string{"exp has the wrong type"}},
		"no iat":                    {v, map[string]any{"iat": nil}, idtoken.ErrUnproven, []string{"no iat"}},
		"old":                       {v, map[string]any{"iat": at(-time.Hour)}, idtoken.ErrUnproven, []string{"iat", "max_age"}},
		"issued in the future":      {v, map[string]any{"iat": at(time.Hour)}, idtoken.ErrUnproven, []string{"iat", "future"}},
		"iat is a list":             {v, map[string]any{"iat": []any{"canary"}}, idtoken.ErrUnproven, []string{"iat has the wrong type"}},
		"not valid yet":             {v, map[string]any{"nbf": at(time.Hour)}, idtoken.ErrUnproven, []string{"nbf"}},
		"nbf is text":               {v, map[string]any{"nbf": "canary"}, idtoken.ErrUnproven, []string{"nbf has the wrong type"}},
		"another issuer":            {v, map[string]any{"iss": "https://canary.example.com"}, idtoken.ErrUnproven, []string{"iss"}},
		"no issuer":                 {v, map[string]any{"iss": nil}, idtoken.ErrUnproven, []string{"no iss"}},
		"iss is a number":           {v, map[string]any{"iss": 7}, idtoken.ErrUnproven, []string{"iss has the wrong type"}},
		"another audience":          {v, map[string]any{"aud": "canary"}, idtoken.ErrUnproven, []string{"aud"}},
		"no audience":               {v, map[string]any{"aud": nil}, idtoken.ErrUnproven, []string{"no aud"}},
		"aud is an object":          {v, map[string]any{"aud": map[string]any{"canary": 1}}, idtoken.ErrUnproven, []string{"aud has the wrong type"}},
		"two audiences":             {v, map[string]any{"aud": []string{clientID, "canary"}}, idtoken.ErrUnproven, []string{"aud", "azp"}},
		"another party":             {v, map[string]any{"azp": "canary"}, idtoken.ErrUnproven, []string{"azp"}},
		"an event":                  {v, map[string]any{"events": map[string]any{"canary": 1}}, idtoken.ErrUnproven, []string{"events"}},
		"no subject":                {v, map[string]any{"sub": nil}, idtoken.ErrUnproven, []string{"sub", "customer.external_id"}},
		"a subject that is empty":   {v, map[string]any{"sub": ""}, idtoken.ErrUnproven, []string{"sub", "customer.external_id"}},
		"a subject that is a list":  {v, map[string]any{"sub": []any{"canary"}}, idtoken.ErrUnproven, []string{"sub"}},
		"no email":                  {v, map[string]any{"email": nil}, idtoken.ErrUnproven, []string{"no email", "customer.email"}},
		"an email that is a number": {v, map[string]any{"email": 7}, idtoken.ErrUnproven, []string{"email,", "not text"}},
		"an email of a list":        {v, map[string]any{"email": []any{"canary@example.com"}}, idtoken.ErrUnproven, []string{"email,", "not text"}},
		"email unverified":          {v, map[string]any{"email_verified": false}, idtoken.ErrUnproven, []string{"email_verified", "customer.email"}},
		"no word on the email":      {v, map[string]any{"email_verified": nil}, idtoken.ErrUnproven, []string{"email_verified"}},
		"another person":            {v, map[string]any{"sub": "canary"}, idtoken.ErrMismatch, []string{"sub", "customer.external_id"}},
		"another address":           {v, map[string]any{"email": "canary@example.com"}, idtoken.ErrMismatch, []string{"email", "customer.email"}},
		"another case":              {v, map[string]any{"email": "Ada@example.com"}, idtoken.ErrMismatch, []string{"email"}},
		"an ID with a space":        {v, map[string]any{"sub": "user_id "}, idtoken.ErrMismatch, []string{"sub"}},
		"no claim for the email":    {newVerifier(t, noEmail, now.read), nil, idtoken.ErrUnproven, []string{"policy", "customer.email"}},
		"a claim of the shop": {
			newVerifier(t, custom, now.read), map[string]any{"upn": "ada@example.com"}, idtoken.ErrUnproven, []string{"https://shop.example.com/uid"},
		},
		"another in a claim of the shop": {
			newVerifier(t, custom, now.read),
			map[string]any{"https://shop.example.com/uid": "user_id", "upn": "canary@example.com"},
			idtoken.ErrMismatch,
			[]string{"upn", "customer.email"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			token := signed(t, jwa.ES256, ecKey(), kid("ec"), claims(now.read(), test.changes))
			err := test.verifier.Prove(t.Context(), token, ada)
			if !errors.Is(err, test.want) {
				t.Fatalf("error %v, want %v", err, test.want)
			}
			for _, claim := range test.names {
				if !strings.Contains(err.Error(), claim) {
					t.Errorf("%q does not name %q", err, claim)
				}
			}
			for _, value := range []string{"canary", ada.ExternalID, "ada@"} {
				if strings.Contains(strings.ToLower(err.Error()), value) {
					t.Errorf("%q holds a value", err)
				}
			}
		})
	}
}

func TestAGoodSignatureOverNoClaims(t *testing.T) {
	t.Parallel()
	now := newClock()
	v := newVerifier(t, describe(newStandIn(t, allKeys(t)).URL), now.read)
	for _, payload := range []string{"", "canary", "[]", "null", "7", `{"iat":`, `"{}"`} {
		t.Run(payload, func(t *testing.T) {
			t.Parallel()
			err := v.Prove(t.Context(), signedText(t, payload), ada)
			if !errors.Is(err, idtoken.ErrUnproven) || strings.Contains(err.Error(), "canary") {
				t.Errorf("error %v", err)
			}
		})
	}
}
