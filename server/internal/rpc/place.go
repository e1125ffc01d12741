package rpc

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	"github.com/chatidentity/chatidentity/server/internal/listen"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
)

const (
	// farDeadline is beyond what a call can be refused with here: grpc keeps the timer of a call that
	// its tap refuses until the call's own deadline.
	farDeadline = 10 * time.Second
	// placeRetry is when a caller may find a place again. Calls end within milliseconds.
	placeRetry = 100 * time.Millisecond
	// maxHeaderFields bounds the header fields of a call. HPACK sends one in a byte; here each takes a
	// hundred, which the bound on bytes does not see.
	maxHeaderFields = 100
)

// place decides whether a call gets a place among those that are open, before grpc reads its message.
// A call that gets none has been charged to its connection already. place runs in the reader of the
// connection, under the transport's lock, and must not block.
func (s *Server) place(ctx context.Context, info *tap.Info) (context.Context, error) {
	connection := listen.ConnectionOf(ctx)
	isOver, fields := connection.IsOver(), countFields(info.Header)
	arrived := &arrival{Context: ctx, connection: connection, headers: info.Header}
	if !isOver && fields <= maxHeaderFields {
		return arrived, nil
	}
	if deadline, has := ctx.Deadline(); has && time.Until(deadline) > farDeadline {
		connection.CutOff() // and with it the call, which stops its timer
		return arrived, nil
	}
	if isOver {
		s.refusedCall(ctx, kindCallsInFlight, "the caller, or this connection, has more than its share of open calls")
		return nil, s.refusePlace(arrived, info.FullMethodName)
	}
	s.refusedCall(ctx, kindHeaderFields, "a call has too many header fields")
	connection.SpendRefusals(fields / maxHeaderFields)
	return nil, status.Errorf(codes.ResourceExhausted, "the call has more than %d header fields", maxHeaderFields)
}

func countFields(header metadata.MD) int {
	fields := 0
	for _, values := range header {
		fields += len(values)
	}
	return fields
}

// refusePlace records a call that gets no place. The audit counts such records together and does not
// make the reader wait.
func (s *Server) refusePlace(a *arrival, fullMethod string) error {
	refused := rateLimited(ratelimit.Caller, placeRetry)
	refused.message = "this caller has too many calls open; retry after the delay in RetryInfo"
	method := s.served[fullMethod]
	if method == nil || !method.isOurs() {
		return refused.GRPCStatus().Err()
	}
	now := s.options.Now()
	c := &call{
		Context: a,
		arrival: a,
		method:  method,
		began:   now,
		auditID: s.options.NewAuditID(now),
		limit:   ratelimit.Caller.String(),
		refusal: refused,
	}
	c.setCaller(a.connection.Caller)
	record := s.record(c)
	_ = s.options.Audit.Write(c, record) // of a refusal: no error
	s.metrics.count(c)
	return refused.audited(record.AuditID)
}
