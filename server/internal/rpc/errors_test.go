package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
	"github.com/chatidentity/chatidentity/server/internal/rpc"
	"github.com/chatidentity/chatidentity/server/internal/secret"
)

// refusalOf is what a client reads from one of our errors.
type refusalOf struct {
	reason, auditID string
	fields          []string
	retryAfter      time.Duration
	quota           string
	message         string
}

func detailsOf(t *testing.T, err error) refusalOf {
	t.Helper()
	said, ok := status.FromError(err)
	if !ok {
		t.Fatalf("%v is no gRPC status", err)
	}
	r := refusalOf{message: said.Message()}
	for _, detail := range said.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			if detail.GetDomain() != "chatidentity" {
				t.Errorf("domain %q", detail.GetDomain())
			}
			r.reason, r.auditID = detail.GetReason(), detail.GetMetadata()["audit_id"]
		case *errdetails.BadRequest:
			for _, violation := range detail.GetFieldViolations() {
				r.fields = append(r.fields, violation.GetField())
			}
		case *errdetails.RetryInfo:
			r.retryAfter = detail.GetRetryDelay().AsDuration()
		case *errdetails.QuotaFailure:
			r.quota = detail.GetViolations()[0].GetSubject()
		}
	}
	if len(r.auditID) != 36 {
		t.Errorf("audit ID %q", r.auditID)
	}
	return r
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

// If a room cannot do its part, the caller gets one clear error with the reason but not the cause.
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
		"a file is missing":          {func(o *setup) { o.Configured = func() error { return cause } }, codes.Unavailable, "NOT_CONFIGURED"},
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

// unwell is an audit that cannot do its part.
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

func (noLimiter) Peek(*ratelimit.Budgets) ratelimit.Decision {
	return ratelimit.Decision{Allowed: true}
}

func (n noLimiter) Take(context.Context, ratelimit.Budgets) (ratelimit.Decision, error) {
	return ratelimit.Decision{}, n.err
}

var errPermission = fs.ErrPermission

func TestAPanicIsRecorded(t *testing.T) {
	t.Parallel()
	f := serve(t, func(o *setup) { o.Organizations[0].Secrets = panicking{} })
	_, err := f.IssueToken(t.Context(), issueFor("user_id", ""))
	record := f.record(t, detailsOf(t, err).auditID)
	if record["outcome"] != "INTERNAL" || record["reason"] != "INTERNAL" {
		t.Errorf("record %v", record)
	}
}
