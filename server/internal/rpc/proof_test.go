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

// word is a proof that says what it is told to, and remembers what it was asked.
type word struct {
	err  error
	seen atomic.Value
	who  atomic.Value
}

func (w *word) Prove(_ context.Context, token string, who customer.Customer) error {
	w.seen.Store(token)
	w.who.Store(who)
	return w.err
}

func TestProofOfTheUser(t *testing.T) {
	t.Parallel()
	ada := customer.Customer{ExternalID: "user_id", Email: "ada@example.com"}
	external := customer.OnlyExternalID
	claim := func(kind error) error { return fmt.Errorf("%w: the claim email", kind) }
	for name, test := range map[string]struct {
		header      []string
		err         error
		given       customer.Customer
		identifiers *customer.IdentifierPolicy
		asked       customer.Customer // whom the ID token must prove
		want        string
		says        string
	}{
		"both are proven":             {[]string{"t"}, nil, ada, nil, ada, "", ""},
		"one is proven, and signed":   {[]string{"t"}, nil, customer.Customer{Email: ada.Email}, nil, customer.Customer{Email: ada.Email}, "", ""},
		"an identifier is not signed": {[]string{"t"}, nil, ada, &external, customer.Customer{ExternalID: "user_id"}, "", ""},
		"no token":                    {nil, nil, ada, nil, customer.Customer{}, "USER_UNPROVEN", "x-user-id-token"},
		"two tokens":                  {[]string{"t", "t"}, nil, ada, nil, customer.Customer{}, "USER_UNPROVEN", "once"},
		"a bad token":                 {[]string{"t"}, claim(idtoken.ErrUnproven), ada, nil, ada, "USER_UNPROVEN", "the claim email"},
		"somebody else":               {[]string{"t"}, claim(idtoken.ErrMismatch), ada, nil, ada, "USER_MISMATCH", "the claim email"},
		"no keys":                     {[]string{"t"}, fmt.Errorf("%w: down", idtoken.ErrUnavailable), ada, nil, ada, "PROOF_UNAVAILABLE", "keys"},
		"a fault":                     {[]string{"t"}, errors.New("a fault"), ada, nil, ada, "INTERNAL", "log"},
		"a customer that is none":     {[]string{"t"}, nil, customer.Customer{}, nil, customer.Customer{}, "INVALID_CUSTOMER", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			grant := grantOf("default")
			proof, limiter := &word{err: test.err}, &asked{}
			grant.Proof, grant.Identifiers = proof, test.identifiers
			f := serveUnder(t, grant, func(o *setup) { limiter.Limiter, o.Limiter = o.Limiter, limiter })
			ctx := metadata.NewOutgoingContext(t.Context(), metadata.MD{"x-user-id-token": test.header})
			reply, err := f.IssueToken(ctx, issueFor(test.given.ExternalID, test.given.Email))
			if who, _ := proof.who.Load().(customer.Customer); who != test.asked {
				t.Error("the ID token had to prove somebody else")
			}
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
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("the error %q does not say %q", err, test.says)
			}
			_, line, inLog := strings.Cut(f.log.String(), "user not proven")
			if ofProof := strings.HasPrefix(test.want, "USER_"); inLog != ofProof || inLog && !strings.Contains(line, test.says) {
				t.Errorf("the log says %q", line)
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
	proof := &word{}
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
