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
	// maxMetadata bounds the metadata of a call, as HTTP/2 counts it: an ID token of 32 KiB and the rest.
	maxMetadata = 48 << 10
	// freeMetadata is what a call may have without being counted: as many calls as may be open can.
	freeMetadata = 16 << 10
	// shortDeadline is what may have passed before grpc opens the call. Then it answers by itself.
	shortDeadline = 10 * time.Millisecond
)

// place decides whether a call gets a place among those that are open, before grpc reads its message.
// A call that gets none has been charged to its connection already. place runs in the reader of the
// connection, under the transport's lock, and must not block.
func (s *Server) place(ctx context.Context, info *tap.Info) (context.Context, error) {
	connection := listen.ConnectionOf(ctx)
	fields, size := measure(info.Header)
	arrived := &arrival{Context: ctx, connection: connection, headers: info.Header, size: size}
	isOver := connection.IsOver() || size > freeMetadata && !connection.HoldMetadata(ctx, size)
	deadline, hasDeadline := ctx.Deadline()
	left := time.Until(deadline)
	if hasDeadline && left < shortDeadline {
		connection.Explain()
	}
	if !isOver && fields <= maxHeaderFields {
		return arrived, nil
	}
	if hasDeadline && left > farDeadline {
		connection.CutOff() // and with it the call, which stops its timer
		return arrived, nil
	}
	connection.Explain()
	if isOver {
		connection.SpendRefusals(arrived.refusals() - 1) // the one is spent
		s.refusedCall(ctx, kindCallsInFlight, "the caller, or this connection, has more than its share of open calls")
		return nil, s.refusePlace(arrived, info.FullMethodName)
	}
	s.refusedCall(ctx, kindHeaderFields, "a call has too many header fields")
	connection.SpendRefusals(fields / maxHeaderFields)
	return nil, status.Errorf(codes.ResourceExhausted, "the call has more than %d header fields", maxHeaderFields)
}

// measure returns the number of header fields, and their size as HTTP/2 counts it (RFC 9113, section
// 6.5.2).
func measure(header metadata.MD) (fields, size int) { //nolint:nonamedreturns // says which is which
	const overhead = 32
	for name, values := range header {
		fields += len(values)
		for _, value := range values {
			size += len(name) + len(value) + overhead
		}
	}
	return fields, size
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
	s.startSpan(c)
	record := s.record(c)
	_ = s.options.Audit.Write(c, record) // of a refusal: no error
	c.auditID = record.AuditID
	s.metrics.count(c)
	c.span.End(c.outcome())
	return refused.audited(c.auditID)
}
