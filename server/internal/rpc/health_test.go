package rpc_test

import (
	"crypto/tls"
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/chatidentity/chatidentity/server/internal/caller"
	"github.com/chatidentity/chatidentity/server/internal/caller/callertest"
)

func TestHealthTellsWhetherATokenWouldBeIssued(t *testing.T) {
	t.Parallel()
	var unready atomic.Bool
	f := serve(t, func(o *setup) {
		o.Ready = func() error {
			if unready.Load() {
				return errors.New("not now")
			}
			return nil
		}
	})
	health := healthpb.NewHealthClient(f.conn)
	watch, err := health.Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, now := range []bool{false, true, false} {
		unready.Store(now)
		want := healthpb.HealthCheckResponse_SERVING
		if now {
			want = healthpb.HealthCheckResponse_NOT_SERVING
		}
		for _, service := range []string{"", "chatidentity.v1.ChatIdentityService"} {
			reply, err := health.Check(t.Context(), &healthpb.HealthCheckRequest{Service: service})
			if err != nil || reply.GetStatus() != want {
				t.Errorf("%q is %v, error %v; want %v", service, reply.GetStatus(), err, want)
			}
		}
		if told, err := watch.Recv(); err != nil || told.GetStatus() != want {
			t.Errorf("watch tells %v, error %v; want %v", told.GetStatus(), err, want)
		}
	}
	if recorded := f.audit(t); strings.Count(recorded, "\n") != 1 { // the chain's start
		t.Errorf("health checks must leave no record: %s", recorded)
	}
}

// Probes have no token: health is open to everyone who is admitted, whatever the policy. Reflection
// is for callers that may do something.
func TestHealthAndReflectionUnderAPolicy(t *testing.T) {
	t.Parallel()
	own := uint32(os.Getuid())
	ca := callertest.NewCA(t)
	server := serveEverywhere(t, func(o *setup) {
		o.Callers = caller.Admission{AllowedUIDs: []uint32{own + 1}, OwnUID: own, OverflowUID: caller.OverflowUID(), Tokens: knownTokens(t)}
		o.TLS = serverTLS(t, ca)
		o.Policy = allOf("token:checkout")
	})
	certificates := &tls.Config{RootCAs: ca.Pool(), Certificates: []tls.Certificate{ca.Client(t, otherSPIFFE).TLS(t)}, MinVersion: tls.VersionTLS13}
	for _, test := range []struct {
		name    string
		attempt attempt
		reflect codes.Code
	}{
		{"loopback", attempt{server.loopback, nil, nil}, codes.Unauthenticated},
		{"loopback with a token", attempt{server.loopback, nil, []string{"Bearer " + goodToken}}, codes.OK},
		{"loopback with a wrong token", attempt{server.loopback, nil, []string{"Bearer x"}}, codes.Unauthenticated},
		{"loopback with a token without a grant", attempt{server.loopback, nil, []string{"Bearer " + otherToken}}, codes.PermissionDenied},
		{"the sidecar's own uid", attempt{server.unix, nil, nil}, codes.PermissionDenied},
		{"a certificate without a grant", attempt{server.outside, certificates, nil}, codes.PermissionDenied},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			conn := test.attempt.dial(t)
			if _, err := healthpb.NewHealthClient(conn).Check(test.attempt.context(t), &healthpb.HealthCheckRequest{}); err != nil {
				t.Errorf("health: %v", err)
			}
			stream, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(test.attempt.context(t))
			if err == nil {
				_ = stream.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}})
				_, err = stream.Recv()
			}
			if status.Code(err) != test.reflect {
				t.Errorf("reflection: %v, want %v", err, test.reflect)
			}
		})
	}
}

// Health is open to callers that may do nothing else, so its cost is bounded.
func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	f := serve(t, nil)
	health := healthpb.NewHealthClient(f.conn)
	begin := func(client healthpb.HealthClient) error {
		watch, err := client.Watch(t.Context(), &healthpb.HealthCheckRequest{})
		if err == nil {
			_, err = watch.Recv()
		}
		return err
	}
	var err error
	for range 64 {
		if err = begin(health); err != nil {
			break
		}
	}
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("64 watches of one client: %v, want RESOURCE_EXHAUSTED", err)
	}
	if err := begin(healthpb.NewHealthClient(dial(t, f.listener))); err != nil {
		t.Errorf("a watch of another client: %v", err)
	}
	if _, err := health.Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil {
		t.Errorf("a check: %v", err)
	}
	if _, err := health.Check(t.Context(), &healthpb.HealthCheckRequest{Service: "no.such.Service"}); status.Code(err) != codes.NotFound {
		t.Errorf("an unknown service: %v, want NOT_FOUND", err)
	}
}
