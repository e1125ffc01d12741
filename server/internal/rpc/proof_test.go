package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc/metadata"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/idtoken"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
)

// word is a proof that returns what it is given.
type word struct {
	customer.Customer
	err  error
	seen atomic.Value
}

func (w *word) Verify(_ context.Context, token string) (customer.Customer, error) {
	w.seen.Store(token)
	return w.Customer, w.err
}

func TestProofOfTheUser(t *testing.T) {
	t.Parallel()
	ada := customer.Customer{ExternalID: "user_id", Email: "ada@example.com"}
	external := customer.OnlyExternalID
	for name, test := range map[string]struct {
		header      []string
		proven      customer.Customer
		err         error
		given       customer.Customer
		identifiers *customer.IdentifierPolicy
		want        string
	}{
		"both are proven":             {[]string{"t"}, ada, nil, ada, nil, ""},
		"one is proven, and signed":   {[]string{"t"}, ada, nil, customer.Customer{Email: ada.Email}, nil, ""},
		"an identifier is not signed": {[]string{"t"}, customer.Customer{ExternalID: "user_id"}, nil, ada, &external, ""},
		"no token":                    {nil, ada, nil, ada, nil, "USER_UNPROVEN"},
		"two tokens":                  {[]string{"t", "t"}, ada, nil, ada, nil, "USER_UNPROVEN"},
		"a bad token":                 {[]string{"t"}, customer.Customer{}, fmt.Errorf("%w: it has expired", idtoken.ErrUnproven), ada, nil, "USER_UNPROVEN"},
		"an unproven email":           {[]string{"t"}, customer.Customer{ExternalID: "user_id"}, nil, ada, nil, "USER_UNPROVEN"},
		"somebody else":               {[]string{"t"}, customer.Customer{ExternalID: "other", Email: "bob@example.com"}, nil, ada, nil, "USER_MISMATCH"},
		"somebody else's email":       {[]string{"t"}, customer.Customer{ExternalID: "user_id", Email: "bob@example.com"}, nil, ada, nil, "USER_MISMATCH"},
		"another case":                {[]string{"t"}, customer.Customer{ExternalID: "user_id", Email: "Ada@example.com"}, nil, ada, nil, "USER_MISMATCH"},
		"no keys":                     {[]string{"t"}, customer.Customer{}, fmt.Errorf("%w: down", idtoken.ErrUnavailable), ada, nil, "PROOF_UNAVAILABLE"},
		"a fault":                     {[]string{"t"}, ada, errors.New("a fault"), ada, nil, "INTERNAL"},
		"a customer that is none":     {[]string{"t"}, ada, nil, customer.Customer{}, nil, "INVALID_CUSTOMER"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			grant := grantOf("default")
			grant.Proof, grant.Identifiers = &word{Customer: test.proven, err: test.err}, test.identifiers
			limiter := &asked{}
			f := serveUnder(t, grant, func(o *setup) { limiter.Limiter, o.Limiter = o.Limiter, limiter })
			ctx := metadata.NewOutgoingContext(t.Context(), metadata.MD{"x-user-id-token": test.header})
			reply, err := f.IssueToken(ctx, issueFor(test.given.ExternalID, test.given.Email))
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			refused := detailsOf(t, err)
			if refused.reason != test.want || reply != nil {
				t.Fatalf("refusal %+v, want %s", refused, test.want)
			}
			for _, value := range []string{"user_id", "ada", "bob", "down", "a fault"} {
				if strings.Contains(err.Error(), value) {
					t.Errorf("the error %q holds %q", err, value)
				}
			}
			if record := f.record(t, refused.auditID); record["reason"] != test.want || record["token_sha256"] != nil {
				t.Errorf("record %v", record)
			}
			// A caller without proof cannot use up the budget of a customer.
			if limiter.budgets[ratelimit.Caller].Rate.IsOff() || !limiter.budgets[ratelimit.Customer].Rate.IsOff() {
				t.Errorf("budgets %+v", limiter.budgets)
			}
		})
	}
}

func TestVerifyNeedsNoProof(t *testing.T) {
	t.Parallel()
	grant := grantOf("default")
	grant.Proof = &word{err: idtoken.ErrUnproven}
	if _, err := serveUnder(t, grant, nil).VerifyToken(t.Context(), &pb.VerifyTokenRequest{Token: "x"}); err != nil {
		t.Error(err)
	}
}

// Verifying is dear, so it is not done for a caller that is over its limit anyway. Such a call spends
// nothing, least of all of the customer's budget.
func TestACallerOverItsLimitIsRefusedBeforeTheProof(t *testing.T) {
	t.Parallel()
	proof := &word{Customer: customer.Customer{ExternalID: "user_id"}}
	grant := grantOf("default")
	once := rate(t, "1/h")
	grant.Proof, grant.Limit = proof, &once
	f := serveUnder(t, grant, nil)
	send := func(token string) error {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "x-user-id-token", token)
		_, err := f.IssueToken(ctx, issueFor("user_id", ""))
		return err
	}
	if err := send("first"); err != nil {
		t.Fatal(err)
	}
	refused := detailsOf(t, send("second"))
	if refused.reason != "RATE_LIMITED" {
		t.Errorf("refusal %+v, want RATE_LIMITED", refused)
	}
	if seen := proof.seen.Load(); seen != "first" {
		t.Errorf("the proof %q was verified", seen)
	}
	if record := f.record(t, refused.auditID); record["limit"] != "caller" {
		t.Errorf("record %v", record)
	}
}
