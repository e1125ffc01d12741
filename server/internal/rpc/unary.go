package rpc

import (
	"context"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
)

// served is a method as this server serves it: what would otherwise be looked up for each call.
type served struct {
	method

	info    *grpc.UnaryServerInfo
	name    string // the last part of its full name
	chain   []grpc.UnaryServerInterceptor
	handler grpc.UnaryHandler // nil: the generated code's
	series  *grpcSeries
}

// registrar registers services so that their unary calls go through our chain. grpc's own chain
// makes a closure for each step of each call.
type registrar struct {
	grpc.ServiceRegistrar

	server *Server
}

func (r registrar) RegisterService(service *grpc.ServiceDesc, implementation any) {
	own := *service
	own.Methods = slices.Clone(service.Methods)
	for i, desc := range service.Methods {
		own.Methods[i].Handler = r.server.handle(service.ServiceName, desc, implementation)
	}
	r.ServiceRegistrar.RegisterService(&own, implementation)
}

// handle returns what grpc calls for a method of a service: from the message to the reply. A
// message that cannot be decoded never reaches the chain.
func (s *Server) handle(service string, desc grpc.MethodDesc, implementation any) grpc.MethodHandler {
	info := &grpc.UnaryServerInfo{Server: implementation, FullMethod: "/" + service + "/" + desc.MethodName}
	m := &served{method: methods[info.FullMethod], info: info, name: desc.MethodName}
	m.chain = s.unaryChain(m.isOurs())
	s.served[info.FullMethod] = m
	receive := desc.Handler // for health, the generated code's
	if m.isOurs() {
		m.handler = m.handlerOf(s)
		receive = m.receive
	}
	return func(
		implementation any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor,
	) (any, error) {
		growStack()
		sendPlain(ctx)
		c := &call{Context: ctx, arrival: arrivalOf(ctx), method: m, began: s.options.Now()}
		c.arrival.connection.Explain()                          // grpc sends the error of decoding before it returns it
		reply, err := receive(implementation, c, decode, enter) //nolint:contextcheck // the call is its own context
		switch {
		case err == nil:
		case c.handler != nil: // it came to the chain
			c.arrival.connection.Explain()
		default:
			s.reportUndecodable(ctx, err)
		}
		return reply, err
	}
}

// receive is a handler like the generated one, without its closure.
func (m *served) receive(
	_ any, ctx context.Context, //nolint:revive // the order is grpc's
	decode func(any) error, enter grpc.UnaryServerInterceptor,
) (any, error) {
	req := m.requestOf(callFrom(ctx))
	if err := decode(req); err != nil {
		return nil, err
	}
	return enter(ctx, req, m.info, m.handler)
}

// enter begins the chain of a call, whose message has been decoded.
func enter(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	c := callFrom(ctx)
	c.arrival.connection.TakeBack()
	c.handler = handler
	return goOn(ctx, req)
}

// goOn takes a call one step further and, after the last step, to its handler.
func goOn(ctx context.Context, req any) (any, error) {
	c := callFrom(ctx)
	if c.step == len(c.method.chain) {
		return c.handler(ctx, req)
	}
	take := c.method.chain[c.step]
	c.step++
	return take(ctx, req, c.method.info, goOn)
}

// sendPlain has the reply of a compressed request sent as it is. The exporter of spans registers
// gzip with grpc, which then answers as it was asked. grpc.SetSendCompressor does the same but
// allocates.
func sendPlain(ctx context.Context) {
	stream, ok := grpc.ServerTransportStreamFromContext(ctx).(interface {
		RecvCompress() string
		SetSendCompress(name string) error
	})
	if ok && stream.RecvCompress() != "" {
		_ = stream.SetSendCompress(encoding.Identity) // fails once headers are sent: not yet
	}
}

// stackOfCall is what a call needs of its stack.
const stackOfCall = 5000

// growStack has the stack grow once, to what a call needs, and not twice on the way.
//
//go:noinline
func growStack() {
	var frame [stackOfCall]byte
	touch(&frame)
}

//go:noinline
func touch(frame *[stackOfCall]byte) { frame[0] = 1 }
