package rpc_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/caller"
	"github.com/chatidentity/chatidentity/server/internal/caller/callertest"
	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/idtoken"
	"github.com/chatidentity/chatidentity/server/internal/policy"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
	"github.com/chatidentity/chatidentity/server/internal/rpc"
	"github.com/chatidentity/chatidentity/server/internal/secret"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

// serveUnder serves loopback callers under the grant, with two organizations
// besides the default one.
func serveUnder(t *testing.T, grant *policy.Grant, change func(*setup)) *fixture {
	t.Helper()
	return serve(t, func(o *setup) {
		granted := &policy.Policy{Callers: map[string]*policy.Grant{"loopback": grant}}
		o.Policy = func() *policy.Policy { return granted }
		for name, identifiers := range map[string]customer.IdentifierPolicy{"acme": customer.AsGiven, "mail": customer.OnlyEmail} {
			store, err := secret.Open(secret.Options{Organization: name}, secret.Source{Value: sensitive.New("secret-of-" + name + "-0123456789-0123456789")})
			if err != nil {
				t.Fatal(err)
			}
			o.Organizations = append(o.Organizations, rpc.Organization{Name: name, Secrets: store, Identifiers: identifiers})
		}
		if change != nil {
			change(o)
		}
	})
}

func grantOf(organizations ...string) *policy.Grant {
	return &policy.Grant{Organizations: organizations, Methods: policy.Methods()}
}

// A caller learns nothing of organizations that are not its own: one that it may
// not use reads like one that does not exist.
func TestACallerUsesItsOrganizationsAlone(t *testing.T) {
	t.Parallel()
	f := serveUnder(t, grantOf("acme", "withdrawn"), nil)
	for name, want := range map[string]string{
		"acme": "", "default": "CALLER_DENIED", "": "CALLER_DENIED", "mail": "CALLER_DENIED", "nowhere": "CALLER_DENIED", "withdrawn": "UNKNOWN_ORGANIZATION",
	} {
		request := issueFor("user_id", "")
		request.Organization = name
		_, issueErr := f.IssueToken(t.Context(), request)
		_, verifyErr := f.VerifyToken(t.Context(), &pb.VerifyTokenRequest{Token: "x", Organization: name})
		for _, err := range []error{issueErr, verifyErr} {
			if want == "" && err != nil || want != "" && detailsOf(t, err).reason != want {
				t.Errorf("%q: %v, want %q", name, err, want)
			}
		}
	}
}

func TestACallerUsesItsMethodsAlone(t *testing.T) {
	t.Parallel()
	f := serveUnder(t, &policy.Grant{AllOrganizations: true, Methods: []string{"VerifyToken"}}, nil)
	if _, err := f.IssueToken(t.Context(), issueFor("user_id", "")); detailsOf(t, err).reason != "CALLER_DENIED" {
		t.Errorf("issue: %v", err)
	}
	if _, err := f.VerifyToken(t.Context(), &pb.VerifyTokenRequest{Token: "x"}); err != nil {
		t.Errorf("verify: %v", err)
	}
}

// The methods that a grant can name are those of the contract.
func TestMethodsThatAGrantNames(t *testing.T) {
	t.Parallel()
	served := map[string]bool{}
	for _, method := range pb.ChatIdentityService_ServiceDesc.Methods {
		served[method.MethodName] = true
	}
	for _, name := range policy.Methods() {
		if !served[name] {
			t.Errorf("%s is not served", name)
		}
	}
	if len(served) != len(policy.Methods()) {
		t.Errorf("served %v, to be named %v", served, policy.Methods())
	}
}

// The identifier policy of the caller goes before that of the organization, and
// that before everybody's.
func TestIdentifierPolicies(t *testing.T) {
	t.Parallel()
	external := customer.OnlyExternalID
	own := grantOf("default", "mail")
	own.Identifiers = &external
	for name, test := range map[string]struct {
		grant        *policy.Grant
		organization string
		want         pb.Identifier
	}{
		"everybody's":        {grantOf("default"), "default", pb.Identifier_IDENTIFIER_EMAIL},
		"the organization's": {grantOf("mail"), "mail", pb.Identifier_IDENTIFIER_EMAIL},
		"the caller's":       {own, "default", pb.Identifier_IDENTIFIER_EXTERNAL_ID},
		"both":               {own, "mail", pb.Identifier_IDENTIFIER_EXTERNAL_ID},
	} {
		request := issueFor("user_id", "ada@example.com")
		request.Organization = test.organization
		reply, err := serveUnder(t, test.grant, nil).IssueToken(t.Context(), request)
		if err != nil || reply.GetLoginIdentifier() != test.want {
			t.Errorf("%s: %v, error %v", name, reply.GetLoginIdentifier(), err)
		}
	}
	request := issueFor("user_id", "")
	request.Organization = "mail"
	if _, err := serveUnder(t, grantOf("mail"), nil).IssueToken(t.Context(), request); detailsOf(t, err).reason != "INVALID_CUSTOMER" {
		t.Errorf("no email for an organization that signs that alone: %v", err)
	}
}

// asked notes what limits are asked.
type asked struct {
	rpc.Limiter
	mu      sync.Mutex
	budgets ratelimit.Budgets
}

func (a *asked) Take(ctx context.Context, budgets ratelimit.Budgets) (ratelimit.Decision, error) {
	a.mu.Lock()
	a.budgets = budgets
	a.mu.Unlock()
	return a.Limiter.Take(ctx, budgets)
}

// Callers that have the same name everywhere share a budget everywhere, and the
// policy may give a caller a budget of its own.
func TestLimitsOfACaller(t *testing.T) {
	t.Parallel()
	limiter := &asked{}
	own := rate(t, "1/h")
	f := serve(t, func(o *setup) {
		limiter.Limiter, o.Limiter = o.Limiter, limiter
		o.Callers.Tokens = knownTokens(t)
		o.Policy = allOf("token:checkout", "token:another")
		o.Policy().Callers["token:checkout"].Limit = &own
	})
	issue := func(token string) error {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
		_, err := f.IssueToken(ctx, issueFor("user_id", ""))
		return err
	}
	if err := issue(goodToken); err != nil {
		t.Fatal(err)
	}
	budget := limiter.budgets[ratelimit.Caller]
	if budget.Local || budget.Key.Name != "token:checkout" || budget.Rate != own {
		t.Errorf("budget %+v", budget)
	}
	if refused := detailsOf(t, issue(goodToken)); refused.reason != "RATE_LIMITED" || refused.quota != "caller" {
		t.Errorf("the second in an hour: %+v", refused)
	}
	if err := issue(otherToken); err != nil {
		t.Errorf("another caller: %v", err)
	}
}

// word is a proof that says what it is told.
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

// A connection may outlive its certificate and the CA that signed it: its next
// call tells, and a new connection is the way out.
func TestACertificateIsLookedAtAnew(t *testing.T) {
	t.Parallel()
	first, second := callertest.NewCA(t), callertest.NewCA(t)
	own := first.Server(t)
	trusting := func(cas ...*callertest.CA) *caller.TLS {
		var pems []byte
		for _, ca := range cas {
			pems = append(pems, ca.PEM...)
		}
		trusted, err := caller.ParseTLS(own.Certificate, own.Key, pems)
		if err != nil {
			t.Fatal(err)
		}
		return trusted
	}
	var trusted atomic.Pointer[caller.TLS]
	trusted.Store(trusting(first))
	var ahead atomic.Int64
	l := serveEverywhere(t, func(o *setup) {
		o.TLS = trusted.Load
		o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	shown := &tls.Config{RootCAs: first.Pool(), Certificates: []tls.Certificate{first.Client(t, goodSPIFFE).TLS(t)}, MinVersion: tls.VersionTLS13}
	client := pb.NewChatIdentityServiceClient(attempt{l.outside, shown, nil}.dial(t))
	for i, step := range []struct {
		trusted *caller.TLS
		ahead   time.Duration
		want    codes.Code
	}{
		{trusting(first), 0, codes.OK},
		{trusting(first, second), 0, codes.OK},
		{trusting(second), 0, codes.Unauthenticated},
		{trusting(second, first), 0, codes.OK},
		{trusting(first), 59 * time.Minute, codes.OK},
		{trusting(first), 61 * time.Minute, codes.Unauthenticated},
	} {
		trusted.Store(step.trusted)
		ahead.Store(int64(step.ahead))
		if _, err := client.IssueToken(t.Context(), issueFor(fmt.Sprint("user", i), "")); status.Code(err) != step.want {
			t.Errorf("step %d: %v, want %v", i, err, step.want)
		}
	}
}

// Handshakes that fail are counted; one that never ends, ends after 5 seconds.
func TestHandshakesThatFail(t *testing.T) {
	t.Parallel()
	ca := callertest.NewCA(t)
	l := serveEverywhere(t, func(o *setup) { o.TLS = serverTLS(t, ca) })
	silent, err := net.Dial("tcp", l.outside)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if err := silent.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := silent.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) && !isReset(err) {
		t.Errorf("a silent client: read %d, error %v; want that the server hangs up", n, err)
	}
	eventually(t, "count of the silent one", func() bool { return l.metric(t, "chatidentity_transport_errors_total", "tls") == 1 })
	eventually(t, "free place", func() bool { return l.metric(t, "chatidentity_connections", "") == 0 })
	if strings.Count(readAudit(t, l.auditFile), "\n") != 1 { // the chain's start
		t.Error("a handshake left a record")
	}
}

func isReset(err error) bool { return err != nil && strings.Contains(err.Error(), "reset") }

func readAudit(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
