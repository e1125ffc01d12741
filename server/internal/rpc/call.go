package rpc

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/caller"
	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/policy"
	"github.com/chatidentity/chatidentity/server/internal/trace"
)

// call is the one value that describes a call. The steps of the chain fill it in, and its record is
// made from it. From the audit on it is refused until the handler has answered.
//
// It is the context of its own call, so that a step finds it without a search.
type call struct {
	context.Context //nolint:containedctx // see above

	arrival *arrival
	method  *served
	began   time.Time
	auditID string
	refusal *refusal    // nil once answered
	span    *trace.Span // nil: the call is not sampled
	givenUp bool        // by the caller, before the record was durable

	caller       caller.Identity
	callerName   string         // caller.String()
	policy       *policy.Policy // one from start to finish, with its organizations; nil: there is none
	grant        *policy.Grant  // what the caller may do by it
	organization Organization
	given        customer.Customer // as the caller sent it
	signed       customer.Customer // what the identifier policy leaves of it
	invalid      *refusal          // what is wrong with the request: reported once it has been paid for

	limited     *refusal // known to be over a limit, before anything dear was done
	limit       string   // the rate limit that refused, or would have
	verdict     string
	detail      string // why a token that was verified is not accepted
	issued      time.Time
	tokenDigest string
	secretID    string

	record   audit.Record // made at the end
	messages messages

	// Where the call is in its chain; see unary.go.
	step    int
	handler grpc.UnaryHandler
}

// messages is room for the messages of a call, in the same piece of memory.
type messages struct {
	issue           pb.IssueTokenRequest
	verify          pb.VerifyTokenRequest
	issueReply      pb.IssueTokenResponse
	issued, expires timestamppb.Timestamp
}

func (c *call) issueRequest() *pb.IssueTokenRequest { return &c.messages.issue }

func (c *call) verifyRequest() *pb.VerifyTokenRequest { return &c.messages.verify }

// setCaller says who is calling.
func (c *call) setCaller(who caller.Identity) { c.caller, c.callerName = who, who.String() }

type callKey struct{}

// Value implements context.Context.
func (c *call) Value(key any) any {
	if key == (callKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// callFrom panics without a call: a step that runs outside the chain is a fault, and recovery makes
// an INTERNAL of it.
func callFrom(ctx context.Context) *call {
	if c, ok := ctx.(*call); ok {
		return c
	}
	return ctx.Value(callKey{}).(*call) //nolint:forcetypeassert // see above
}
