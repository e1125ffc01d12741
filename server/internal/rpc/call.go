package rpc

import (
	"context"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/caller"
	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/policy"
)

// call is the one value that describes a call. The audit opens it, the steps of the chain fill it
// in, and its record is made from it. It is refused until the handler has answered.
type call struct {
	fullMethod string
	method     method
	began      time.Time
	auditID    string
	refusal    *refusal // nil once answered
	givenUp    bool     // by the caller, before the record was durable

	caller       caller.Identity
	grant        *policy.Grant // what the caller may do, by one policy from start to finish
	organization *Organization
	given        customer.Customer // as the caller sent it
	signed       customer.Customer // what the identifier policy leaves of it
	invalid      *refusal          // what is wrong with the request: reported once it has been paid for

	limited     *refusal // known to be over a limit, before anything dear was done
	limit       string   // the rate limit that refused, or would have
	verdict     string
	issued      time.Time
	tokenDigest string
	secretID    string
}

type callKey struct{}

func withCall(ctx context.Context, c *call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

// callFrom panics without a call: a step that runs outside the audit is a fault of the chain, and
// recovery makes an INTERNAL of it.
func callFrom(ctx context.Context) *call {
	return ctx.Value(callKey{}).(*call) //nolint:forcetypeassert // see above
}
