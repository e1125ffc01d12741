package rpc

import (
	"context"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"google.golang.org/grpc"
)

// unaryChain is everything that happens to a call, from the outside in:
//
//	listen → place → count( recovery( admit( trace( audit( recovery(
//		identify( check( available( limit( handler: secret → token
//
// Each step stands in the file of its name, the handlers in handlers.go. unary.go takes calls through
// the chain.
func (s *Server) unaryChain(isOurs bool) []grpc.UnaryServerInterceptor {
	recovered := recovery.UnaryServerInterceptor(recovery.WithRecoveryHandlerContext(s.recovered))
	chain := []grpc.UnaryServerInterceptor{
		s.count,      // grpc_server_*
		recovered,    // of a fault in the audit itself
		s.admitUnary, // a method without an entry in the table goes no further
	}
	if !isOurs { // health
		return chain
	}
	if s.options.Tracer != nil {
		chain = append(chain, s.trace) // a span, if the call is sampled
	}
	return append(chain,
		s.audit,   // holds a token until its record is written
		recovered, // a panic becomes an INTERNAL that is audited like any other error
		inOrder(
			s.requireConfigured, // rejects every call while a file of the configuration is missing
			s.identify,          // who is calling, and may they?
			s.check,             // is the request valid, and who is it for?
			s.requireAvailable,  // rejects calls that cannot succeed, before they consume any quota
			s.limit,             // spends the budgets; then reports what check found wrong
		),
	)
}

// streamChain is for health and reflection, whose streams carry nothing of ours.
func (s *Server) streamChain() []grpc.StreamServerInterceptor {
	return []grpc.StreamServerInterceptor{
		explained,
		s.admitStream, // before the metrics, which take any method's name as a label
		s.metrics.grpc.StreamServerInterceptor(),
		recovery.StreamServerInterceptor(recovery.WithRecoveryHandlerContext(s.recovered)),
		s.endAtStop,
	}
}

// step is one part of the chain: it fills in the call, or refuses it.
type step func(ctx context.Context, c *call, req any) *refusal

// inOrder takes the steps one after the other, up to the first that refuses.
func inOrder(steps ...step) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		c := callFrom(ctx)
		for _, take := range steps {
			if refused := take(ctx, c, req); refused != nil {
				return nil, refused
			}
		}
		return handler(ctx, req)
	}
}
