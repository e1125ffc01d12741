package rpc_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
	"github.com/chatidentity/chatidentity/server/internal/rpc"
)

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

// A caller who does not wait for the record does not count as a failure of the audit, which would
// page the operators.
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

// A field of the record that no call fills in would be silently empty.
func TestCallsFillInEveryFieldOfTheRecord(t *testing.T) {
	t.Parallel()
	f := serve(t, func(o *setup) { o.Limits[ratelimit.Customer] = rate(t, "1/h:1") })
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-request-id", "req-1",
		"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	reply, err := f.IssueToken(ctx, issueFor("user_id", "ada@example.com"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.VerifyToken(ctx, &pb.VerifyTokenRequest{Token: reply.GetToken()}); err != nil {
		t.Fatal(err)
	}
	_, err = f.IssueToken(ctx, issueFor("user_id", "ada@example.com"))
	f.record(t, detailsOf(t, err).auditID)
	for _, field := range audit.Fields() {
		if byTheLog := slices.Contains([]string{"summarized_event", "count", "dropped"}, field.Name); byTheLog {
			continue
		}
		if !strings.Contains(f.audit(t), `"`+field.Name+`":`) {
			t.Errorf("no record has %s", field.Name)
		}
	}
}
