package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/kustomer/standin"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
	"github.com/chatidentity/chatidentity/server/internal/rpc"
	"github.com/chatidentity/chatidentity/server/internal/secret"
	"github.com/chatidentity/chatidentity/server/internal/token"
)

func TestIssuedTokenLogsInAndIsRecorded(t *testing.T) {
	t.Parallel()
	f := serve(t, nil)
	vendor := standin.New(standin.Options{Secret: signingSecret})
	for name, test := range map[string]struct {
		request    *pb.IssueTokenRequest
		identifier pb.Identifier
		by, value  string
		recorded   string
	}{
		"external id": {issueFor("user_id", ""), pb.Identifier_IDENTIFIER_EXTERNAL_ID, "externalId", "user_id", "external_id"},
		"email":       {issueFor("", "ada@example.com"), pb.Identifier_IDENTIFIER_EMAIL, "email", "ada@example.com", "email"},
		"both":        {issueFor("user_id", "bob@example.com"), pb.Identifier_IDENTIFIER_EMAIL, "email", "bob@example.com", "email"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := metadata.AppendToOutgoingContext(t.Context(), "x-request-id", "req-1",
				"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
			reply, err := f.IssueToken(ctx, test.request)
			if err != nil {
				t.Fatal(err)
			}
			if reply.GetLoginIdentifier() != test.identifier {
				t.Errorf("login identifier %v, want %v", reply.GetLoginIdentifier(), test.identifier)
			}
			issued := reply.GetIssueTime().AsTime()
			if reply.GetExpireTime().AsTime().Sub(issued) != 15*time.Minute || issued.Nanosecond() != 0 {
				t.Errorf("issued %v, expires %v: want 15 minutes from a whole second", issued, reply.GetExpireTime().AsTime())
			}
			login, err := vendor.Login(reply.GetToken(), issued)
			if err != nil || login.By != test.by || login.Value != test.value {
				t.Errorf("the vendor logs in %+v, error %v", login, err)
			}
			want := map[string]any{
				"event": "token.issue", "outcome": "OK", "organization": "default", "identifier": test.recorded, "caller": "loopback",
				"iat": float64(issued.Unix()), "token_sha256": token.Digest(reply.GetToken()), "request_id": "req-1",
				"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
			}
			record := f.record(t, reply.GetAuditId())
			for field, value := range want {
				if record[field] != value {
					t.Errorf("record's %s is %v, want %v", field, record[field], value)
				}
			}
			if _, given := record["external_id_hmac"]; given != (test.request.GetCustomer().GetExternalId() != "") {
				t.Errorf("record has an external_id_hmac: %t", given)
			}
			if _, given := record["email_hmac"]; given != (test.request.GetCustomer().GetEmail() != "") {
				t.Errorf("record has an email_hmac: %t", given)
			}
		})
	}
}

func TestBadCustomersAreNamedByFieldAndNeverRepeated(t *testing.T) {
	t.Parallel()
	f := serve(t, nil)
	for name, test := range map[string]struct {
		request *pb.IssueTokenRequest
		reason  string
		fields  []string
	}{
		"neither":              {issueFor("", ""), "INVALID_CUSTOMER", []string{"customer"}},
		"no customer":          {&pb.IssueTokenRequest{}, "INVALID_CUSTOMER", []string{"customer"}},
		"over-long":            {issueFor(strings.Repeat("canary", 100), ""), "INVALID_CUSTOMER", []string{"customer.external_id"}},
		"over-long email":      {issueFor("", strings.Repeat("canary", 50)+"@example.com"), "INVALID_CUSTOMER", []string{"customer.email"}},
		"control character":    {issueFor("canary\x01", ""), "INVALID_CUSTOMER", []string{"customer.external_id"}},
		"padded":               {issueFor("canary ", ""), "INVALID_CUSTOMER", []string{"customer.external_id"}},
		"two addresses":        {issueFor("", "canary@example.com,b@example.com"), "INVALID_CUSTOMER", []string{"customer.email"}},
		"both wrong":           {issueFor("\tcanary", "canary"), "INVALID_CUSTOMER", []string{"customer.external_id", "customer.email"}},
		"unknown organization": {&pb.IssueTokenRequest{Organization: "canary"}, "UNKNOWN_ORGANIZATION", []string{"organization"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := f.IssueToken(t.Context(), test.request)
			if status.Code(err) != codes.InvalidArgument {
				t.Fatalf("error %v, want INVALID_ARGUMENT", err)
			}
			refused := detailsOf(t, err)
			if refused.reason != test.reason || !slices.Equal(refused.fields, test.fields) {
				t.Errorf("reason %s, fields %q; want %s, %q", refused.reason, refused.fields, test.reason, test.fields)
			}
			if said := fmt.Sprintf("%v %v", err, status.Convert(err).Proto()); strings.Contains(said, "canary") {
				t.Errorf("the error repeats the value: %s", said)
			}
		})
	}
}

func TestIdentifierPolicyDecidesWhatIsSigned(t *testing.T) {
	t.Parallel()
	f := serve(t, func(o *setup) { o.Organizations[0].Identifiers = customer.OnlyExternalID })
	reply, err := f.IssueToken(t.Context(), issueFor("user_id", "ada@example.com"))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := token.Parse(reply.GetToken())
	if err != nil || parsed.Customer() != (customer.Customer{ExternalID: "user_id"}) {
		t.Errorf("signed more or less than the external ID; error %v", err)
	}
	if reply.GetLoginIdentifier() != pb.Identifier_IDENTIFIER_EXTERNAL_ID {
		t.Errorf("login identifier %v", reply.GetLoginIdentifier())
	}
	_, err = f.IssueToken(t.Context(), issueFor("", "ada@example.com"))
	if refused := detailsOf(t, err); refused.reason != "INVALID_CUSTOMER" || !slices.Equal(refused.fields, []string{"customer.external_id"}) {
		t.Errorf("an email alone: %+v", refused)
	}
}

// Of 30 calls at once for one customer exactly 10 pass; after the delay that
// the others are told, the next one passes, and not a nanosecond before.
func TestCustomerLimitIsExact(t *testing.T) {
	t.Parallel()
	f := serve(t, nil)
	var passed atomic.Int32
	refusals := make(chan error, 30)
	var calls errgroup.Group
	for range 30 {
		calls.Go(func() error {
			_, err := f.IssueToken(t.Context(), issueFor("", "Ada@Example.com"))
			if err == nil {
				passed.Add(1)
			} else {
				refusals <- err
			}
			return nil
		})
	}
	_ = calls.Wait()
	close(refusals)
	if passed.Load() != 10 || len(refusals) != 20 {
		t.Fatalf("%d passed and %d were refused, want 10 and 20", passed.Load(), len(refusals))
	}
	for err := range refusals {
		refused := detailsOf(t, err)
		if status.Code(err) != codes.ResourceExhausted || refused.reason != "RATE_LIMITED" || refused.quota != "customer" || refused.retryAfter != 6*time.Second {
			t.Fatalf("refusal %+v", refused)
		}
	}
	f.clock.advance(6*time.Second - 1)
	// Another spelling of the same address is the same customer.
	if _, err := f.IssueToken(t.Context(), issueFor("", "ada@EXAMPLE.com")); detailsOf(t, err).retryAfter != 1 {
		t.Errorf("a nanosecond early: %v", err)
	}
	f.clock.advance(1)
	if _, err := f.IssueToken(t.Context(), issueFor("", "ada@example.com")); err != nil {
		t.Errorf("after the delay: %v", err)
	}
	if _, err := f.IssueToken(t.Context(), issueFor("ada@example.com", "")); err != nil {
		t.Errorf("an external ID of the same text is another customer: %v", err)
	}
}

func TestBadRequestsAndVerificationsSpendCallerAndGlobal(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]func(*fixture) error{
		"bad customer": func(f *fixture) error {
			_, err := f.IssueToken(t.Context(), issueFor("", ""))
			return err
		},
		"verify": func(f *fixture) error {
			_, err := f.VerifyToken(t.Context(), &pb.VerifyTokenRequest{Token: "x"})
			return err
		},
	} {
		for limit, limits := range map[string]ratelimit.Rates{
			"caller": {ratelimit.Caller: rate(t, "1/h:3")},
			"global": {ratelimit.Global: rate(t, "1/h:3")},
		} {
			t.Run(name+", "+limit, func(t *testing.T) {
				t.Parallel()
				f := serve(t, func(o *setup) { o.Limits = limits })
				for range 3 {
					if status.Code(call(f)) == codes.ResourceExhausted {
						t.Fatal("refused before the burst was spent")
					}
				}
				if refused := detailsOf(t, call(f)); refused.reason != "RATE_LIMITED" || refused.quota != limit {
					t.Errorf("the fourth call: %+v", refused)
				}
			})
		}
	}
}

func TestShadowLimitsRecordAndRefuseNothing(t *testing.T) {
	t.Parallel()
	f := serve(t, func(o *setup) { o.ShadowLimits = true })
	var last *pb.IssueTokenResponse
	for range 11 {
		reply, err := f.IssueToken(t.Context(), issueFor("user_id", ""))
		if err != nil {
			t.Fatal(err)
		}
		last = reply
	}
	if limit := f.record(t, last.GetAuditId())["limit"]; limit != "shadow:customer" {
		t.Errorf("the eleventh call's record has the limit %v", limit)
	}
}

func TestShadowLimitsRefuseNothingEvenWhenTheyCannotDecide(t *testing.T) {
	t.Parallel()
	f := serve(t, func(o *setup) {
		o.ShadowLimits = true
		o.Limiter = noLimiter{errPermission}
	})
	reply, err := f.IssueToken(t.Context(), issueFor("user_id", ""))
	if err != nil {
		t.Fatal(err)
	}
	if limit := f.record(t, reply.GetAuditId())["limit"]; limit != "shadow:unavailable" {
		t.Errorf("the record has the limit %v", limit)
	}
}

// unwell stands for rooms that cannot do their part.
type unwell struct {
	rpc.AuditLog
	err       error
	available error
}

func (u unwell) Write(context.Context, *audit.Record) error { return u.err }
func (u unwell) Available() error                           { return u.available }

type noSecrets struct{ err error }

func (n noSecrets) Ready() error                       { return n.err }
func (n noSecrets) Snapshot() (secret.Snapshot, error) { return secret.Snapshot{}, n.err }

type panicking struct{}

func (panicking) Ready() error                       { return nil }
func (panicking) Snapshot() (secret.Snapshot, error) { panic("canary@example.com") }

type noLimiter struct{ err error }

func (n noLimiter) Take(context.Context, ratelimit.Budgets) (ratelimit.Decision, error) {
	return ratelimit.Decision{}, n.err
}

// Whatever a room cannot do, the caller gets one clear error with its reason,
// and no cause.
func TestWhatARoomCannotDoIsAClearError(t *testing.T) {
	t.Parallel()
	cause := errors.New("canary: a cause for the log alone")
	secrets := func(s rpc.Secrets) func(*setup) {
		return func(o *setup) { o.Organizations = []rpc.Organization{{Name: "default", Secrets: s}} }
	}
	for name, test := range map[string]struct {
		change func(*setup)
		code   codes.Code
		reason string
	}{
		"the record is not written":  {func(o *setup) { o.Audit = unwell{o.Audit, cause, nil} }, codes.Unavailable, "AUDIT_UNAVAILABLE"},
		"the audit is known to fail": {func(o *setup) { o.Audit = unwell{o.Audit, nil, cause} }, codes.Unavailable, "AUDIT_UNAVAILABLE"},
		"there is no secret":         {secrets(noSecrets{fmt.Errorf("%w: %w", secret.ErrUnavailable, cause)}), codes.Unavailable, "SECRET_UNAVAILABLE"},
		"the clock is skewed":        {secrets(noSecrets{fmt.Errorf("%w: %w", secret.ErrClockSkewed, cause)}), codes.Unavailable, "CLOCK_SKEWED"},
		"the limiter cannot decide":  {func(o *setup) { o.Limiter = noLimiter{cause} }, codes.Unavailable, "LIMITER_UNAVAILABLE"},
		"a panic":                    {secrets(panicking{}), codes.Internal, "INTERNAL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := serve(t, test.change)
			reply, err := f.IssueToken(t.Context(), issueFor("user_id", ""))
			if status.Code(err) != test.code || reply.GetToken() != "" {
				t.Fatalf("reply %v, error %v", reply, err)
			}
			refused := detailsOf(t, err)
			if refused.reason != test.reason {
				t.Errorf("reason %s, want %s", refused.reason, test.reason)
			}
			if said := fmt.Sprintf("%v %v", err, status.Convert(err).Proto()); strings.Contains(said, "canary") {
				t.Errorf("the client is told the cause: %s", said)
			}
			if text := f.log.String(); !strings.Contains(text, refused.auditID) || strings.Contains(text, "canary@example.com") {
				t.Errorf("the log must name the call and no value: %s", text)
			}
		})
	}
}

func TestAPanicIsRecorded(t *testing.T) {
	t.Parallel()
	f := serve(t, func(o *setup) { o.Organizations[0].Secrets = panicking{} })
	_, err := f.IssueToken(t.Context(), issueFor("user_id", ""))
	record := f.record(t, detailsOf(t, err).auditID)
	if record["outcome"] != "INTERNAL" || record["reason"] != "INTERNAL" {
		t.Errorf("record %v", record)
	}
}

// spy counts what reaches the limits.
type spy struct {
	rpc.Limiter
	taken atomic.Int32
}

func (s *spy) Take(ctx context.Context, budgets ratelimit.Budgets) (ratelimit.Decision, error) {
	s.taken.Add(1)
	return s.Limiter.Take(ctx, budgets)
}

func TestAKnownOutageIsRefusedBeforeItSpends(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*setup){
		"audit":  func(o *setup) { o.Audit = unwell{o.Audit, nil, errPermission} },
		"secret": func(o *setup) { o.Organizations[0].Secrets = noSecrets{errPermission} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limits := &spy{}
			f := serve(t, func(o *setup) {
				change(o)
				limits.Limiter, o.Limiter = o.Limiter, limits
			})
			if _, err := f.IssueToken(t.Context(), issueFor("user_id", "")); status.Code(err) != codes.Unavailable {
				t.Errorf("error %v", err)
			}
			if limits.taken.Load() != 0 {
				t.Error("a call that could not succeed was spent")
			}
		})
	}
}

// held is an audit whose records wait to be released.
type held struct {
	rpc.AuditLog
	entered chan struct{}
	release chan error
}

func (h held) Write(context.Context, *audit.Record) error {
	h.entered <- struct{}{}
	return <-h.release
}

func TestNoTokenLeavesBeforeItsRecordIsWritten(t *testing.T) {
	t.Parallel()
	log := held{entered: make(chan struct{}), release: make(chan error)}
	f := serve(t, func(o *setup) {
		log.AuditLog = o.Audit
		o.Audit = log
	})
	answered := make(chan error, 1)
	go func() {
		_, err := f.IssueToken(t.Context(), issueFor("user_id", ""))
		answered <- err
	}()
	<-log.entered
	select {
	case err := <-answered:
		t.Fatalf("answered before the record was written: %v", err)
	default:
	}
	log.release <- nil
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

// patientLog waits for as long as its caller does.
type patientLog struct {
	rpc.AuditLog
	entered chan struct{}
}

func (p patientLog) Write(ctx context.Context, _ *audit.Record) error {
	close(p.entered)
	<-ctx.Done()
	return ctx.Err()
}

// A caller who does not wait for the record is no fault of the audit, on whose
// failures operators are woken.
func TestACallerWhoGivesUpIsNoAuditFailure(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{})
	f := serve(t, func(o *setup) { o.Audit = patientLog{o.Audit, entered} })
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-entered
		cancel()
	}()
	if _, err := f.IssueToken(ctx, issueFor("user_id", "")); status.Code(err) != codes.Canceled {
		t.Errorf("error %v", err)
	}
	eventually(t, "count", func() bool { return f.metric(t, "chatidentity_calls_given_up_total", "") == 1 })
	if n := f.metric(t, "chatidentity_refusals_total", "AUDIT_UNAVAILABLE"); n != 0 {
		t.Errorf("%v calls are counted as the audit's failures", n)
	}
}
