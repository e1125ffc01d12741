package rpc

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/chatidentity/chatidentity/server/internal/caller"
	"github.com/chatidentity/chatidentity/server/internal/listen"
)

// admitUnary stops methods that the table does not hold, and callers that may
// not use health or reflection. Our own methods go on to be audited first.
func (s *Server) admitUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if err := s.admit(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	return handler(ctx, req)
}

func (s *Server) admitStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if err := s.admit(stream.Context(), info.FullMethod); err != nil {
		return err
	}
	return handler(srv, stream)
}

func (s *Server) admit(ctx context.Context, fullMethod string) error {
	method, known := methods[fullMethod]
	switch {
	case !known:
		s.refusedCall(ctx, kindUnknownMethod, "the method is not served")
		return status.Error(codes.Unimplemented, "unknown method")
	case method.event != "":
		return nil
	case method.action == caller.CheckHealth: // probes have no token: who is connected is enough
		if !s.options.Callers.May(listen.ConnectionOf(ctx).Caller, caller.CheckHealth) {
			return status.Error(codes.PermissionDenied, "this caller may not do that")
		}
		return nil
	default:
		return s.admitCaller(ctx, method.action)
	}
}

// admitCaller lets through whoever may do something here at all.
func (s *Server) admitCaller(ctx context.Context, action caller.Action) error {
	who, err := s.authenticate(ctx)
	if err == nil {
		_, err = s.authorize(ctx, who, action)
	}
	if r := asRefusal(err); r != nil {
		return status.Error(r.code(), r.message)
	}
	return nil
}
