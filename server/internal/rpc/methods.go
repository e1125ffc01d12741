package rpc

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionalphapb "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/status"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/caller"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
)

// method is what the chain does with an RPC. Health and reflection have an action only.
type method struct {
	typed

	action  caller.Action
	event   audit.Event                                  // of its record
	limits  []ratelimit.Limit                            // that it spends
	success func(m *metrics, c *call) prometheus.Counter // what an answer counts as
	// leavesUnrecorded is for a reply that may leave although its record cannot be written. It carries
	// no token.
	leavesUnrecorded bool
}

// methods holds every RPC that is served. One without an entry is refused.
var methods = map[string]method{
	pb.ChatIdentityService_IssueToken_FullMethodName: {
		action:  caller.Call,
		event:   audit.EventIssue,
		limits:  ratelimit.Limits(),
		typed:   typedBy((*call).issueRequest, (*Server).checkIssue, handlers.IssueToken),
		success: (*metrics).issued,
	},
	pb.ChatIdentityService_VerifyToken_FullMethodName: {
		action:           caller.Call,
		event:            audit.EventVerify,
		limits:           []ratelimit.Limit{ratelimit.Global, ratelimit.Caller},
		typed:            typedBy((*call).verifyRequest, (*Server).checkVerify, handlers.VerifyToken),
		success:          (*metrics).verified,
		leavesUnrecorded: true,
	},
	healthpb.Health_Check_FullMethodName:                                   {action: caller.CheckHealth},
	healthpb.Health_List_FullMethodName:                                    {action: caller.CheckHealth},
	healthpb.Health_Watch_FullMethodName:                                   {action: caller.CheckHealth},
	reflectionpb.ServerReflection_ServerReflectionInfo_FullMethodName:      {action: caller.Reflect},
	reflectionalphapb.ServerReflection_ServerReflectionInfo_FullMethodName: {action: caller.Reflect},
}

// isOurs reports whether the RPC belongs to the contract. Health and reflection leave no record.
func (m method) isOurs() bool { return m.event != "" }

// typed is what depends on the type of an RPC's request.
type typed struct {
	requestOf func(c *call) any                                               // empty, to be decoded into
	check     func(s *Server, ctx context.Context, c *call, req any) *refusal // what is wrong with it
	handlerOf func(s *Server) grpc.UnaryHandler
}

// typedBy makes it of the place for the request, a check, which fills in the call, and a handler.
func typedBy[Request, Reply any](
	requestOf func(*call) *Request,
	check func(*Server, context.Context, *call, *Request) *refusal,
	answer func(handlers, context.Context, *Request) (*Reply, error),
) typed {
	return typed{
		requestOf: func(c *call) any { return requestOf(c) },
		check: func(s *Server, ctx context.Context, c *call, req any) *refusal {
			return check(s, ctx, c, req.(*Request)) //nolint:forcetypeassert // requestOf returned it
		},
		handlerOf: func(s *Server) grpc.UnaryHandler {
			return func(ctx context.Context, req any) (any, error) {
				return answer(handlers{server: s}, ctx, req.(*Request)) //nolint:forcetypeassert // requestOf returned it
			}
		},
	}
}

// admitUnary stops methods that are not in the table, and callers that may not use health or
// reflection. RPCs of the contract go on, to be audited first.
func (s *Server) admitUnary(
	ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
) (any, error) {
	if err := s.admit(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	return handler(ctx, req)
}

func (s *Server) admitStream(
	srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler,
) error {
	if err := s.admit(stream.Context(), info.FullMethod); err != nil {
		return err
	}
	return handler(srv, stream)
}

func (s *Server) admit(ctx context.Context, fullMethod string) error {
	method, known := methods[fullMethod]
	arrived := arrivalOf(ctx)
	var refused *refusal
	switch {
	case !known:
		s.refusedCall(ctx, kindUnknownMethod, "the method is not served")
		return status.Error(codes.Unimplemented, "unknown method")
	case method.isOurs():
		return nil
	case arrived.isTooLarge():
		refused = metadataTooLarge()
	case method.action == caller.CheckHealth: // probes have no token: an admitted connection is enough
		refused = s.letIn(arrived.connection, method.action)
	default: // reflection is for callers that may do something
		var who caller.Identity
		if who, refused = s.authenticate(arrived, s.options.Now()); refused == nil {
			_, refused = s.authorize(arrived.connection, who, method.action, s.policy())
		}
	}
	if refused != nil {
		return status.Error(refused.code(), refused.message)
	}
	return nil
}
