package rpc

import (
	"context"
	"slices"

	"google.golang.org/grpc"
)

// served is a method as this server serves it: what would otherwise be looked up for each call.
type served struct {
	method

	fullMethod string
	name       string // the last part of fullMethod
	chain      []grpc.UnaryServerInterceptor
	series     *grpcSeries
}

// registrar registers services so that their unary calls go through our chain. grpc's own chain makes
// a closure for each step of each call.
type registrar struct {
	grpc.ServiceRegistrar

	server *Server
}

func (r registrar) RegisterService(service *grpc.ServiceDesc, implementation any) {
	own := *service
	own.Methods = slices.Clone(service.Methods)
	for i, desc := range service.Methods {
		fullMethod := "/" + service.ServiceName + "/" + desc.MethodName
		method := methods[fullMethod]
		m := &served{
			method: method, fullMethod: fullMethod, name: desc.MethodName,
			chain: r.server.unaryChain(method.isOurs()),
		}
		r.server.served[fullMethod] = m
		own.Methods[i].Handler = func(
			implementation any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor,
		) (any, error) {
			return r.server.serve(m, desc, implementation, ctx, decode)
		}
	}
	r.ServiceRegistrar.RegisterService(&own, implementation)
}

// serve takes a call from its message to its reply. A message that cannot be decoded never reaches
// the chain.
func (s *Server) serve(
	m *served, desc grpc.MethodDesc, implementation any, ctx context.Context, decode func(any) error,
) (any, error) {
	c := &call{Context: ctx, arrival: arrivalOf(ctx), method: m, began: s.options.Now()}
	c.next = c.goOn
	reply, err := desc.Handler(implementation, c, decode, enter)
	if err != nil && c.step == 0 {
		s.reportUndecodable(ctx, err)
	}
	return reply, err
}

// enter begins the chain of a call.
func enter(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	c := callFrom(ctx)
	c.info, c.handler = info, handler
	return c.goOn(ctx, req)
}

// goOn takes the call one step further and, after the last step, to the handler of its method.
func (c *call) goOn(ctx context.Context, req any) (any, error) {
	if c.step == len(c.method.chain) {
		return c.handler(ctx, req)
	}
	take := c.method.chain[c.step]
	c.step++
	return take(ctx, req, c.info, c.next)
}
