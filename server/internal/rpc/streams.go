package rpc

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/chatidentity/chatidentity/server/internal/listen"
)

// explained says that what the handler of a stream returns, and a stream without a reply, is not the
// transport's doing. Like the replies of other calls, those of a stream are not packed.
func explained(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	sendPlain(stream.Context())
	defer arrivalOf(stream.Context()).connection.Explain()
	return handler(srv, stream)
}

// endAtStop bounds the open streams, and ends them when the server stops. Health watches and
// reflection last as long as their client likes, and a graceful stop waits for them.
func (s *Server) endAtStop(
	srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler,
) error {
	release := listen.ConnectionOf(stream.Context()).HoldStream()
	if release == nil {
		s.refusedCall(stream.Context(), kindStreams, "the caller, or this connection, has its share of open streams")
		return status.Error(codes.ResourceExhausted, "too many health and reflection streams are open")
	}
	defer release()
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	defer context.AfterFunc(s.stopping, cancel)()
	return handler(srv, &endingStream{stream, ctx})
}

type endingStream struct {
	grpc.ServerStream
	ctx context.Context //nolint:containedctx // a stream hands out its context
}

func (s *endingStream) Context() context.Context { return s.ctx }

func (s *endingStream) RecvMsg(message any) error {
	received := make(chan error, 1)
	go func() { received <- s.ServerStream.RecvMsg(message) }()
	select {
	case err := <-received:
		return err
	case <-s.ctx.Done():
		return status.Error(codes.Unavailable, "the stream has ended")
	}
}
