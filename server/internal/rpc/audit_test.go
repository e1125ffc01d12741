package rpc_test

import (
	"context"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/chatidentity/chatidentity/server/internal/audit"
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
