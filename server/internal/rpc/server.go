// Package rpc serves ChatIdentityService: the chain that every call goes through (read chain.go
// from the top), the handlers, and what clients see of errors.
package rpc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/listen"
)

// Bounds of what one client can make the process hold.
const (
	maxMessageBytes = 16 << 10
	// maxHeaderBytes is what grpc takes of the metadata of a call, as HTTP/2 counts it. It can only cut
	// the connection for more, with everybody's calls: so it takes far more than place does.
	maxHeaderBytes       = 128 << 10
	maxConcurrentStreams = 1024
	// streamWorkers serve calls on stacks that have grown already. More of them rotate, and their
	// stacks fall out of the processor's cache; further calls get goroutines of their own.
	streamWorkers    = 64
	handshakeTimeout = 2 * time.Second
	// maxConnectionAge makes clients show a renewed certificate. If any listener speaks TLS, connections
	// end at this age, between calls, including those on loopback.
	maxConnectionAge = 10 * time.Minute
)

// Server serves calls until it is stopped.
type Server struct {
	options       Options
	organizations map[string]Organization // that the policy does not define, by name
	served        map[string]*served      // by full method; complete before the first call
	metrics       *metrics
	transport     *transportErrors
	grpc          *grpc.Server

	stopping context.Context //nolint:containedctx // the server's own life, which streams follow
	stop     context.CancelFunc
	breaking context.Context //nolint:containedctx // ends when calls are broken off
	breakOff context.CancelFunc
}

// New returns a server that does not listen yet.
func New(options Options) *Server {
	options = options.withDefaults()
	s := &Server{
		options:       options,
		organizations: make(map[string]Organization, len(options.Organizations)),
		served:        map[string]*served{},
		transport:     newTransportErrors(options),
	}
	s.metrics = newMetrics(s.organizationNames)
	for _, organization := range options.Organizations {
		s.organizations[organization.Name] = organization
	}
	s.metrics.startAtZero()
	s.stopping, s.stop = context.WithCancel(context.Background())
	s.breaking, s.breakOff = context.WithCancel(context.Background())
	s.grpc = grpc.NewServer(append(s.bounds(),
		grpc.Creds(listen.Credentials()),
		grpc.InTapHandle(s.place),
		grpc.ChainStreamInterceptor(s.streamChain()...),
		grpc.UnknownServiceHandler(unknownMethod),
		grpc.WaitForHandlers(true), // the audit closes after the last of them
	)...)
	chained := registrar{s.grpc, s}
	pb.RegisterChatIdentityServiceServer(chained, handlers{server: s})
	healthpb.RegisterHealthServer(chained, &health{ready: options.Ready})
	reflection.Register(s.grpc)
	s.metrics.grpc.InitializeMetrics(s.grpc)
	series := seriesByMethod(s.metrics.grpc)
	for fullMethod, method := range s.served {
		method.series = series[fullMethod]
	}
	return s
}

func (s *Server) bounds() []grpc.ServerOption {
	alive := keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second}
	if s.options.HasTLS {
		alive.MaxConnectionAge = maxConnectionAge
	}
	return []grpc.ServerOption{
		grpc.MaxRecvMsgSize(maxMessageBytes),
		grpc.MaxHeaderListSize(maxHeaderBytes),
		// For requests alone, and within bounds. A reply is a token, which does not get smaller: see
		// sendPlain.
		grpc.RPCDecompressor(&unpacker{}), //nolint:staticcheck // encoding/gzip packs replies too
		grpc.MaxConcurrentStreams(maxConcurrentStreams),
		grpc.NumStreamWorkers(streamWorkers),
		grpc.ConnectionTimeout(handshakeTimeout),
		grpc.KeepaliveParams(alive),
		// Client keepalive pings are never penalised: closing the connection ("too_many_pings") harms the
		// app more than a ping harms the sidecar.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Nanosecond, PermitWithoutStream: true}),
	}
}

// Serve accepts calls on all listeners until Stop, or until one of them fails, whose error it
// returns.
func (s *Server) Serve(listeners ...*listen.Listener) error {
	var serving errgroup.Group
	for _, listener := range listeners {
		serving.Go(func() error {
			defer context.AfterFunc(s.breaking, listener.CloseConnections)()
			err := s.grpc.Serve(listener)
			if err != nil && !errors.Is(err, grpc.ErrServerStopped) {
				s.grpc.Stop()
				return fmt.Errorf("serve on %v: %w", listener.Addr(), err)
			}
			return nil
		})
	}
	return serving.Wait()
}

// breakOffTimeout is how long calls that are broken off may take to notice. Those that take longer
// find the audit closed, and their clients gone.
const breakOffTimeout = 200 * time.Millisecond

// Stop accepts no more calls and lets those that are running finish. If ctx ends first, it breaks
// them off and returns an error, at most 200 ms later.
func (s *Server) Stop(ctx context.Context) error {
	s.stop()
	finished := make(chan struct{})
	go func() {
		s.grpc.GracefulStop()
		close(finished)
	}()
	select {
	case <-finished:
		return nil
	case <-ctx.Done():
		s.breakOff() // grpc would wait for handshakes, and for each client that does not read
		go s.grpc.Stop()
		select {
		case <-finished:
		case <-time.After(breakOffTimeout):
		}
		return fmt.Errorf("calls were still running: %w", context.Cause(ctx))
	}
}
