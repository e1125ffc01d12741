package rpc

import (
	"context"
	"time"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/caller"
	"github.com/chatidentity/chatidentity/server/internal/listen"
	"github.com/chatidentity/chatidentity/server/internal/policy"
)

// unrestricted is everybody's grant if there is no policy.
var unrestricted = &policy.Grant{AllOrganizations: true, AllMethods: true}

// identify finds out who is calling, and refuses those who may not.
func (s *Server) identify(_ context.Context, c *call, _ any) *refusal {
	c.setCaller(c.arrival.connection.Caller) // for the record of a call that is not authenticated
	who, refused := s.authenticate(c.arrival, c.began)
	if refused != nil {
		return refused
	}
	if who != c.caller {
		c.setCaller(who)
	}
	c.policy = s.policy()
	if c.grant, refused = s.authorize(c.arrival.connection, who, c.method.action, c.policy); refused != nil {
		return refused
	}
	if !c.grant.MayCall(c.method.name) {
		return denied("the policy does not let this caller use " + c.method.name)
	}
	return nil
}

// authenticate returns who is calling. It verifies the connection's certificate anew, because the
// connection may be older than what is trusted now.
func (s *Server) authenticate(a *arrival, now time.Time) (caller.Identity, *refusal) {
	who, err := s.options.Callers.Authenticate(a.connection.Caller, a.headers["authorization"])
	if err != nil {
		return caller.Identity{}, unauthenticated(err.Error())
	}
	if !a.connection.IsTrusted(now) {
		return caller.Identity{}, unauthenticated(
			"the client certificate of this connection has expired, or its CA is no longer trusted: reconnect")
	}
	return who, nil
}

// policy returns the current one; nil if there is none.
func (s *Server) policy() *policy.Policy {
	if s.options.Policy == nil {
		return nil
	}
	return s.options.Policy()
}

// authorize returns the caller's grant by the policy. The connection must be admitted whatever token
// the call carries.
func (s *Server) authorize(
	connection *listen.Connection, who caller.Identity, action caller.Action, p *policy.Policy,
) (*policy.Grant, *refusal) {
	if refused := s.letIn(connection, action); refused != nil {
		return nil, refused
	}
	if s.options.Policy == nil {
		return unrestricted, nil
	}
	grant, found := p.Grant(who.String())
	if !found {
		return nil, denied("the policy does not name this caller")
	}
	return grant, nil
}

// letIn refuses calls over connections that are not admitted.
func (s *Server) letIn(connection *listen.Connection, action caller.Action) *refusal {
	if !s.options.Callers.May(connection.Caller, action) {
		return denied("this caller is not admitted: ask the sidecar's operator to allow its user ID")
	}
	return nil
}

func unauthenticated(message string) *refusal {
	return &refusal{reason: pb.ErrorReason_ERROR_REASON_CALLER_UNAUTHENTICATED, message: message}
}

func denied(message string) *refusal {
	return &refusal{reason: pb.ErrorReason_ERROR_REASON_CALLER_DENIED, message: message}
}
