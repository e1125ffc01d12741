// Package rpc serves ChatIdentityService: the listeners, the chain that every
// call goes through (unaryChain, to be read from the top), the two handlers,
// and what clients see of errors.
package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	grpcprom "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/caller"
	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/listen"
	"github.com/chatidentity/chatidentity/server/internal/policy"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
	"github.com/chatidentity/chatidentity/server/internal/secret"
)

// Bounds of what one client can make the process hold.
const (
	maxMessageBytes      = 16 << 10
	maxHeaderBytes       = 16 << 10
	maxConcurrentStreams = 1024
	maxStreams           = 64 // of health and reflection, which last as long as their client likes
	handshakeTimeout     = 5 * time.Second
	// maxConnectionAge makes clients that have a new certificate show it. Where
	// there is TLS it ends connections, those on loopback too, between calls.
	maxConnectionAge = 10 * time.Minute
)

// AuditLog is what the chain needs of the audit.
type AuditLog interface {
	// Write records a call. For one that issued a token it returns once the
	// record is written; an error means that the token must not leave.
	Write(ctx context.Context, record *audit.Record) error
	// Available returns nil, or why no record can be written now.
	Available() error
	// Pseudonym stands for a person's identifier in a record.
	Pseudonym(kind, value string) string
}

// Limiter is what the chain needs of the rate limits.
type Limiter interface {
	// Take spends every budget or none. An error: it cannot be decided.
	Take(ctx context.Context, budgets ratelimit.Budgets) (ratelimit.Decision, error)
}

// Secrets is what the chain needs of an organization's signing secret.
type Secrets interface {
	// Ready returns nil, or why no token can be signed now.
	Ready() error
	// Snapshot returns the secrets of this moment, or why there are none.
	Snapshot() (secret.Snapshot, error)
}

// Organization is one whose tokens can be signed.
type Organization struct {
	Name        string
	Secrets     Secrets
	Identifiers customer.IdentifierPolicy // of callers whose grant has none of its own
}

// Options are what a Server is made of. All but the zero-valued policies are
// required.
type Options struct {
	Audit               AuditLog
	Limiter             Limiter
	Limits              ratelimit.Rates
	ShadowLimits        bool // decide and record, refuse nothing
	Organizations       []Organization
	DefaultOrganization string
	Callers             caller.Admission
	Policy              func() *policy.Policy // what each caller may do at this moment. Nil: whoever is let in may do everything
	HasTLS              bool                  // of a listener: connections end after a while, so that clients show a renewed certificate
	MaxClockSkew        time.Duration         // of an iat in the future, for VerifyToken
	Ready               func() error          // nil, or why no token can be issued now: the answer of grpc.health.v1
	Now                 func() time.Time
	NewAuditID          func(now time.Time) string
	Logger              *slog.Logger
}

// Server serves calls until it is stopped.
type Server struct {
	options   Options
	metrics   *metrics
	transport *transportErrors
	grpc      *grpc.Server
	streams   chan struct{} // one place for each open stream

	stopping context.Context //nolint:containedctx // the server's own life, which streams follow
	stop     context.CancelFunc
}

// New returns a server that listens nowhere yet.
func New(options Options) *Server {
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		options: options, streams: make(chan struct{}, maxStreams), metrics: newMetrics(), transport: newTransportErrors(options),
	}
	s.metrics.startAtZero(options.Organizations)
	s.stopping, s.stop = context.WithCancel(context.Background())
	s.grpc = grpc.NewServer(
		grpc.Creds(listen.Credentials()),
		grpc.ChainUnaryInterceptor(s.unaryChain()...),
		grpc.ChainStreamInterceptor(s.streamChain()...),
		grpc.UnknownServiceHandler(unknownMethod), // so that admitStream sees and counts them
		grpc.MaxRecvMsgSize(maxMessageBytes),
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.MaxConcurrentStreams(maxConcurrentStreams),
		grpc.ConnectionTimeout(handshakeTimeout),
		grpc.WaitForHandlers(true), // the audit is closed after the last of them
		// A client may ping as often as it likes: a closed connection
		// ("too_many_pings") harms the app more than a ping harms us.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Nanosecond, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepaliveParameters(options.HasTLS)),
	)
	counted := countingRegistrar{s.grpc, s}
	pb.RegisterChatIdentityServiceServer(counted, handlers{server: s})
	healthpb.RegisterHealthServer(counted, &health{ready: options.Ready})
	reflection.Register(s.grpc)
	s.metrics.grpc.InitializeMetrics(s.grpc)
	return s
}

func keepaliveParameters(hasTLS bool) keepalive.ServerParameters {
	parameters := keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second}
	if hasTLS {
		parameters.MaxConnectionAge = maxConnectionAge
	}
	return parameters
}

// Serve accepts calls on all listeners until Stop, or until one fails: then it
// returns that error.
func (s *Server) Serve(listeners ...*listen.Listener) error {
	var serving errgroup.Group
	for _, listener := range listeners {
		serving.Go(func() error {
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

// Stop lets the calls that were accepted finish and takes no more. It returns
// nil then; when ctx ends before, it breaks off the rest and returns an error.
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
		s.grpc.Stop()
		<-finished
		return fmt.Errorf("calls were still running: %w", context.Cause(ctx))
	}
}

func newGRPCMetrics() *grpcprom.ServerMetrics {
	return grpcprom.NewServerMetrics(grpcprom.WithServerHandlingTimeHistogram(
		grpcprom.WithHistogramBuckets([]float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}),
	))
}
