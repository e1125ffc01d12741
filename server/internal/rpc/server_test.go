package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/caller"
	"github.com/chatidentity/chatidentity/server/internal/listen"
)

// metric returns the sum of a metric's values whose labels hold the text.
func (f *fixture) metric(t *testing.T, name, label string) float64 {
	t.Helper()
	sum := 0.0
	for labels, value := range f.series(t, name) {
		if strings.Contains(labels, label) {
			sum += value
		}
	}
	return sum
}

// series returns a metric's values by their labels.
func (f *fixture) series(t *testing.T, name string) map[string]float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(append(f.server.Collectors(), listen.NewCollector(f.listeners...))...)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	series := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == name {
				series[fmt.Sprint(m.GetLabel())] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return series
}

// An alert on a counter that first appears with its first count would miss that
// count.
func TestCountersStandAtZeroBeforeTheFirstCall(t *testing.T) {
	t.Parallel()
	f := serve(t, nil)
	for name, want := range map[string]int{
		"chatidentity_tokens_issued_total":    2,
		"chatidentity_refusals_total":         len(pb.ErrorReason_name) - 1,
		"chatidentity_verdicts_total":         len(pb.Verdict_name) - 1,
		"chatidentity_limited_total":          3,
		"chatidentity_transport_errors_total": 5,
	} {
		if series := f.series(t, name); len(series) != want {
			t.Errorf("%s has %d series, want %d: %v", name, len(series), want, series)
		}
	}
}

// Errors of the transport come from grpc-go: they carry no ErrorInfo, leave no
// record, and are counted.
func TestTransportErrorsAreCounted(t *testing.T) {
	t.Parallel()
	f := serve(t, nil)
	for _, test := range []struct {
		kind, method string
		message      any
		code         codes.Code
	}{
		{"unknown_method", "/chatidentity.v1.ChatIdentityService/NoSuchMethod", issueFor("x", ""), codes.Unimplemented},
		{"unknown_method", "/no.such.Service/Method", issueFor("x", ""), codes.Unimplemented},
		{"decode", pb.ChatIdentityService_IssueToken_FullMethodName, wrapperspb.Bytes([]byte{0xff, 0xff}), codes.Internal},
		{"decode", pb.ChatIdentityService_IssueToken_FullMethodName, issueFor(strings.Repeat("x", 17<<10), ""), codes.ResourceExhausted},
	} {
		before := f.metric(t, "chatidentity_transport_errors_total", test.kind)
		err := f.conn.Invoke(t.Context(), test.method, test.message, &pb.IssueTokenResponse{})
		if status.Code(err) != test.code || len(status.Convert(err).Details()) != 0 {
			t.Errorf("%s: %v, want a bare %v", test.kind, err, test.code)
		}
		if after := f.metric(t, "chatidentity_transport_errors_total", test.kind); after != before+1 {
			t.Errorf("%s: counted %v, then %v", test.kind, before, after)
		}
	}
	if f.metric(t, "grpc_server_started_total", "NoSuchMethod") != 0 {
		t.Error("a method that somebody made up became a label")
	}
}

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
	if text, err := os.ReadFile(f.auditFile); err != nil || strings.Count(string(text), "\n") != 1 { // the chain's start
		t.Errorf("health checks must leave no record: %s, error %v", text, err)
	}
}

// Clients that watch health or hold reflection open for ever do not hold up a
// stop, and a call that is running is answered.
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
	log.release <- nil
	if err := <-stopped; err == nil {
		t.Error("a stop that broke off a call says that it was clean")
	}
}

// A client may ping as often as it likes: grpc-go's own default would send it
// away with too_many_pings.
func TestEagerKeepaliveIsNoOffence(t *testing.T) {
	t.Parallel()
	f := serve(t, nil)
	raw, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", f.listener)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	const (
		pings                       = 500
		preface                     = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
		settings, ping, goAway, ack = 4, 6, 7, 1
		emptySettings               = "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
		aPing                       = "\x00\x00\x08\x06\x00\x00\x00\x00\x00" + "12345678"
	)
	if _, err := io.WriteString(raw, preface+emptySettings); err != nil {
		t.Fatal(err)
	}
	// One after the other: a burst would be cut off as a flood of controls.
	header := make([]byte, 9)
	for answered := range pings {
		if _, err := io.WriteString(raw, aPing); err != nil {
			t.Fatal(err)
		}
		for kind := byte(settings); kind != ping || header[4] != ack; kind = header[3] {
			if _, err := io.ReadFull(raw, header); err != nil {
				t.Fatalf("after %d pings: %v", answered, err)
			}
			if header[3] == goAway {
				t.Fatalf("sent away after %d pings", answered)
			}
			if _, err := io.CopyN(io.Discard, raw, int64(header[1])<<8|int64(header[2])); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// One connection too many is closed at once; its client is told within its
// deadline, and the others go on.
func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	f := serve(t, nil)
	if _, err := f.IssueToken(t.Context(), issueFor("first", "")); err != nil {
		t.Fatal(err)
	}
	var open []net.Conn
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	for range 1023 {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", f.listener)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
	}
	eventually(t, "full house", func() bool { return f.metric(t, "chatidentity_connections", "") == 1024 })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	late := pb.NewChatIdentityServiceClient(dial(t, f.listener))
	if _, err := late.IssueToken(ctx, issueFor("late", "")); status.Code(err) != codes.Unavailable {
		t.Errorf("one too many: %v, want UNAVAILABLE", err)
	}
	if _, err := f.IssueToken(t.Context(), issueFor("second", "")); err != nil {
		t.Errorf("the others: %v", err)
	}
	if f.metric(t, "chatidentity_transport_errors_total", "connection_limit") == 0 {
		t.Error("not counted")
	}
}

func TestUnixSocket(t *testing.T) {
	t.Parallel()
	own := uint32(os.Getuid())
	for name, test := range map[string]struct {
		callers caller.Admission
		call    codes.Code
		health  codes.Code
	}{
		"allowed":               {caller.Admission{AllowedUIDs: []uint32{own}, OwnUID: own, OverflowUID: 65534}, codes.OK, codes.OK},
		"the sidecar's own uid": {caller.Admission{OwnUID: own, OverflowUID: 65534}, codes.PermissionDenied, codes.OK},
		"another uid":           {caller.Admission{AllowedUIDs: []uint32{own + 1}, OwnUID: own + 1, OverflowUID: 65534}, codes.PermissionDenied, codes.PermissionDenied},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := serve(t, func(o *setup) { o.Callers = test.callers })
			path := filepath.Join(t.TempDir(), "s")
			f.listen(t, "unix", path)
			conn, err := grpc.NewClient("unix:"+path, grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_, err = pb.NewChatIdentityServiceClient(conn).IssueToken(t.Context(), issueFor("user_id", ""))
			if status.Code(err) != test.call {
				t.Errorf("issue: %v, want %v", err, test.call)
			}
			if err != nil {
				refused := detailsOf(t, err)
				if record := f.record(t, refused.auditID); refused.reason != "CALLER_DENIED" || record["caller"] != "uid:"+strconv.Itoa(os.Getuid()) {
					t.Errorf("refusal %+v, record %v", refused, record)
				}
			}
			if _, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{}); status.Code(err) != test.health {
				t.Errorf("health: %v, want %v", err, test.health)
			}
		})
	}
}

// Health is open to callers that may do nothing else, so what it costs is
// bounded.
func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	f := serve(t, nil)
	health := healthpb.NewHealthClient(f.conn)
	for range 64 {
		watch, err := health.Watch(t.Context(), &healthpb.HealthCheckRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := watch.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	watch, err := health.Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("one watch too many: %v, want RESOURCE_EXHAUSTED", err)
	}
	if _, err := health.Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil {
		t.Errorf("a check: %v", err)
	}
	if _, err := health.Check(t.Context(), &healthpb.HealthCheckRequest{Service: "no.such.Service"}); status.Code(err) != codes.NotFound {
		t.Errorf("an unknown service: %v, want NOT_FOUND", err)
	}
}
