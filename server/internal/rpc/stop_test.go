package rpc_test

import (
	"context"
	"net"
	"strings"
	"testing"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"

	"github.com/chatidentity/chatidentity/server/internal/caller/callertest"
)

// Clients that keep health or reflection streams open do not delay a stop, and running calls are
// answered.
func TestStopAnswersCallsAndEndsStreams(t *testing.T) {
	t.Parallel()
	log := held{entered: make(chan struct{}), release: make(chan error)}
	f := serve(t, func(o *setup) {
		log.AuditLog = o.Audit
		o.Audit = log
	})
	watch, err := healthpb.NewHealthClient(f.conn).Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil {
		t.Fatal(err)
	}
	reflecting, err := reflectionpb.NewServerReflectionClient(f.conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	list := &reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}
	if err := reflecting.Send(list); err != nil {
		t.Fatal(err)
	}
	if reply, err := reflecting.Recv(); err != nil || !strings.Contains(reply.String(), "chatidentity.v1.ChatIdentityService") {
		t.Fatalf("reflection lists %v, error %v", reply, err)
	}
	answered := make(chan error, 1)
	go func() {
		_, err := f.IssueToken(t.Context(), issueFor("user_id", ""))
		answered <- err
	}()
	<-log.entered
	stopped := make(chan error, 1)
	go func() { stopped <- f.server.Stop(t.Context()) }()
	if _, err := watch.Recv(); err == nil {
		t.Error("the watch goes on")
	}
	if _, err := reflecting.Recv(); err == nil {
		t.Error("reflection goes on")
	}
	log.release <- nil
	if err := <-answered; err != nil {
		t.Errorf("the running call: %v", err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("stop: %v", err)
	}
}

func TestStopBreaksOffWhatDoesNotEnd(t *testing.T) {
	t.Parallel()
	log := held{entered: make(chan struct{}), release: make(chan error)}
	f := serve(t, func(o *setup) {
		log.AuditLog = o.Audit
		o.Audit = log
	})
	answered := make(chan error, 1)
	go func() {
		_, err := f.IssueToken(t.Context(), issueFor("user_id", ""))
		answered <- err
	}()
	<-log.entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- f.server.Stop(ctx) }()
	if err := <-answered; err == nil {
		t.Error("the call was answered without its record")
	}
	if err := <-stopped; err == nil { // though the call has not noticed yet
		t.Error("a stop that broke off a call says that it was clean")
	}
	log.release <- nil
}

// A stop does not wait for a handshake that would take its 2 seconds.
func TestStopBreaksOffHandshakes(t *testing.T) {
	t.Parallel()
	l := serveEverywhere(t, func(o *setup) { o.TLS = serverTLS(t, callertest.NewCA(t)) })
	for _, address := range []string{l.outside, l.loopback} {
		silent, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close()
	}
	eventually(t, "silent connections", func() bool { return l.metric(t, "chatidentity_connections", "") == 2 })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = l.server.Stop(ctx)
	if late := l.metric(t, "chatidentity_transport_errors_total", "unproven"); late != 0 {
		t.Errorf("%v connections had their whole time to prove who they are", late)
	}
}
