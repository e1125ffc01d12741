package rpc

import (
	"context"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/selector"
	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionalphapb "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/caller"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
)

// unaryChain is all that happens to a call, from the outside in.
func (s *Server) unaryChain() []grpc.UnaryServerInterceptor {
	recovered := recovery.UnaryServerInterceptor(recovery.WithRecoveryHandlerContext(s.recovered))
	ours := func(i grpc.UnaryServerInterceptor) grpc.UnaryServerInterceptor {
		return selector.UnaryServerInterceptor(i, selector.MatchFunc(isOurs))
	}
	return []grpc.UnaryServerInterceptor{
		s.metrics.grpc.UnaryServerInterceptor(),
		recovered,                // of a fault in the audit itself
		s.admitUnary,             // a method without an entry in the table goes no further
		ours(s.audit),            // opens the call; holds a token until its record is written
		ours(recovered),          // a panic is an INTERNAL that is audited like any other
		ours(s.identify),         // who is calling, and may they?
		ours(s.check),            // is the request good? for whom is it?
		ours(s.requireAvailable), // known to be unable to issue: refused before anything is spent
		ours(s.limit),            // global, caller, customer; then what check found wrong
	}
}

// streamChain is for health and reflection, whose streams hold nothing of ours.
func (s *Server) streamChain() []grpc.StreamServerInterceptor {
	return []grpc.StreamServerInterceptor{
		s.admitStream, // before the metrics: they take any method's name as a label
		s.metrics.grpc.StreamServerInterceptor(),
		recovery.StreamServerInterceptor(recovery.WithRecoveryHandlerContext(s.recovered)),
		s.endAtStop,
	}
}

// method is what the chain does with an RPC.
type method struct {
	action caller.Action
	event  audit.Event       // of its audit record; none for health and reflection, which leave no record
	limits []ratelimit.Limit // that it spends
}

// methods holds every RPC that is served. One without an entry is refused.
var methods = map[string]method{
	pb.ChatIdentityService_IssueToken_FullMethodName: {
		action: caller.Call, event: audit.EventIssue, limits: []ratelimit.Limit{ratelimit.Global, ratelimit.Caller, ratelimit.Customer},
	},
	pb.ChatIdentityService_VerifyToken_FullMethodName: {
		action: caller.Call, event: audit.EventVerify, limits: []ratelimit.Limit{ratelimit.Global, ratelimit.Caller},
	},
	healthpb.Health_Check_FullMethodName:                                   {action: caller.CheckHealth},
	healthpb.Health_List_FullMethodName:                                    {action: caller.CheckHealth},
	healthpb.Health_Watch_FullMethodName:                                   {action: caller.CheckHealth},
	reflectionpb.ServerReflection_ServerReflectionInfo_FullMethodName:      {action: caller.Reflect},
	reflectionalphapb.ServerReflection_ServerReflectionInfo_FullMethodName: {action: caller.Reflect},
}

func isOurs(_ context.Context, call interceptors.CallMeta) bool {
	return methods[call.FullMethod()].event != ""
}
