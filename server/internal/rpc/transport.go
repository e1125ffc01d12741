package rpc

import (
	"context"
	"errors"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/chatidentity/chatidentity/server/internal/listen"
)

// Kinds of transport errors beside those of listen.
const (
	kindCallsInFlight = "calls_in_flight"
	kindHeaderFields  = "header_fields"
	kindStreams       = "stream_limit"
	kindDecode        = "decode"
	kindMessageSize   = "message_size"
	kindUnknownMethod = "unknown_method"
)

// transportErrors counts and logs calls and connections that end before the chain.
type transportErrors struct {
	counter *prometheus.CounterVec
	logger  *slog.Logger
	lines   *throttle
}

func newTransportErrors(options Options) *transportErrors {
	e := &transportErrors{
		counter: newCounter("transport_errors_total", "Calls and connections that were refused or slowed down before they "+
			"reached the service, by kind. When it moves: docs/operations.md says what each kind means; "+
			"the log names the other end.", "kind"),
		logger: options.Logger,
		lines:  newThrottle(options.Now),
	}
	own := []string{
		kindCallsInFlight, kindHeaderFields, kindStreams, kindDecode, kindMessageSize, kindUnknownMethod,
	}
	for _, kind := range append(listen.Kinds(), own...) {
		e.counter.WithLabelValues(kind)
	}
	return e
}

// report counts every error and logs at most one of its kind a second.
func (e *transportErrors) report(r listen.Refusal) {
	e.counter.WithLabelValues(r.Kind).Inc()
	if e.lines.isDue(r.Kind) {
		e.logger.Warn("refused before the service", "event", "refused_before_service",
			"kind", r.Kind, "peer", r.Peer, "error", r.Err.Error())
	}
}

// Refused counts and logs a connection that listen refused.
func (s *Server) Refused(r listen.Refusal) { s.transport.report(r) }

// refusedCall counts and logs a call that grpc-go answers before the chain.
func (s *Server) refusedCall(ctx context.Context, kind, reason string) {
	s.transport.report(listen.Refusal{Kind: kind, Peer: peerOf(ctx), Err: errors.New(reason)})
}

func peerOf(ctx context.Context) string {
	if connection := listen.ConnectionOf(ctx); connection.Caller.Peer != "" {
		return connection.Caller.Peer
	}
	if p, ok := peer.FromContext(ctx); ok {
		return p.Addr.String()
	}
	return ""
}

// reportUndecodable reports a message that cannot be decoded: grpc-go answers that itself.
func (s *Server) reportUndecodable(ctx context.Context, err error) {
	if kind := undecodable(err); kind != "" {
		s.refusedCall(ctx, kind, undecodableReasons[kind])
	}
}

// undecodable returns the kind of error that receiving a message ended with, "" for none: a call that is
// cancelled before its message came is nobody's fault here.
func undecodable(err error) string {
	switch status.Code(err) {
	case codes.Internal:
		return kindDecode
	case codes.ResourceExhausted:
		return kindMessageSize
	default:
		return ""
	}
}

var undecodableReasons = map[string]string{
	kindDecode:      "the message cannot be decoded, or its gzip cannot be unpacked",
	kindMessageSize: "the message is too large, or its gzip unpacks to more than is accepted",
}

// unknownMethod answers calls of services that are not served. It only has to exist: admitStream
// refuses and counts them first.
func unknownMethod(any, grpc.ServerStream) error {
	return status.Error(codes.Unimplemented, "unknown method")
}
