package rpc

import (
	"context"
	"path"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/caller"
	"github.com/chatidentity/chatidentity/server/internal/listen"
	"github.com/chatidentity/chatidentity/server/internal/policy"
)

// unrestricted is everybody's grant where there is no policy.
var unrestricted = &policy.Grant{AllOrganizations: true, AllMethods: true}

// identify says who is calling, and refuses whoever may not.
func (s *Server) identify(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	c := callFrom(ctx)
	c.caller = listen.ConnectionOf(ctx).Caller
	who, err := s.authenticate(ctx)
	if err != nil {
		return nil, err
	}
	c.caller = who
	if c.grant, err = s.authorize(ctx, who, c.method.action); err != nil {
		return nil, err
	}
	if name := path.Base(info.FullMethod); !c.grant.MayCall(name) {
		return nil, denied("the policy does not let this caller use " + name)
	}
	return handler(ctx, req)
}

// authenticate returns who is calling. A certificate is looked at anew: the
// connection may be older than what is trusted now.
func (s *Server) authenticate(ctx context.Context) (caller.Identity, error) {
	connection := listen.ConnectionOf(ctx)
	who, err := s.options.Callers.Authenticate(connection.Caller, metadata.ValueFromIncomingContext(ctx, "authorization"))
	if err != nil {
		return caller.Identity{}, unauthenticated(err.Error())
	}
	if !connection.IsTrusted(s.options.Now()) {
		return caller.Identity{}, unauthenticated("the client certificate of this connection has expired, or its CA is no longer trusted: reconnect")
	}
	return who, nil
}

// authorize returns the caller's grant. The connection must be one that is let in, whatever token
// the call carries.
func (s *Server) authorize(ctx context.Context, who caller.Identity, action caller.Action) (*policy.Grant, error) {
	if !s.options.Callers.May(listen.ConnectionOf(ctx).Caller, action) {
		return nil, denied("this caller is not admitted: ask the sidecar's operator to allow its user ID")
	}
	if s.options.Policy == nil {
		return unrestricted, nil
	}
	grant, found := s.options.Policy().Grant(who.String())
	if !found {
		return nil, denied("the policy does not name this caller")
	}
	return grant, nil
}

func unauthenticated(message string) *refusal {
	return &refusal{reason: pb.ErrorReason_ERROR_REASON_CALLER_UNAUTHENTICATED, message: message}
}

func denied(message string) *refusal {
	return &refusal{reason: pb.ErrorReason_ERROR_REASON_CALLER_DENIED, message: message}
}
