package rpc_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/audit/writer"
	"github.com/chatidentity/chatidentity/server/internal/caller"
	"github.com/chatidentity/chatidentity/server/internal/listen"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
	"github.com/chatidentity/chatidentity/server/internal/rpc"
	"github.com/chatidentity/chatidentity/server/internal/secret"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

const signingSecret = "test-secret-0123456789-0123456789"

// fixture is a server on a real socket, with a real audit file and real limits
// on a clock that stands still until it is moved.
type fixture struct {
	pb.ChatIdentityServiceClient
	conn      *grpc.ClientConn
	server    *rpc.Server
	auditFile string
	log       *bytes.Buffer
	clock     *clock
	listener  string // the address of the last one
	listeners []*listen.Listener
	options   listen.Options
}

// setup is what a test may change of a server and its listeners.
type setup struct {
	rpc.Options

	TLS func() *caller.TLS // of listeners outside loopback
}

type clock struct {
	mu      sync.Mutex
	elapsed time.Duration
}

func (c *clock) read() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.elapsed
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.elapsed += d
}

func rate(t testing.TB, text string) ratelimit.Rate {
	t.Helper()
	r, err := ratelimit.ParseRate(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// serve starts a server that is set up like `serve`, after change has had its
// say.
func serve(t testing.TB, change func(*setup)) *fixture {
	t.Helper()
	f := &fixture{auditFile: filepath.Join(t.TempDir(), "audit.jsonl"), log: &bytes.Buffer{}, clock: &clock{}}
	logger := slog.New(slog.NewJSONHandler(&lockedWriter{w: f.log}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	log, err := writer.Open(writer.Options{File: f.auditFile, NoSync: true, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	store, err := secret.Open(secret.Options{Organization: "default"}, secret.Source{Value: sensitive.New(signingSecret)})
	if err != nil {
		t.Fatal(err)
	}
	options := setup{Options: rpc.Options{
		Audit:               log,
		Limiter:             ratelimit.NewLocal(1024, f.clock.read),
		Limits:              ratelimit.Rates{ratelimit.Caller: rate(t, "200/s:400"), ratelimit.Customer: rate(t, "10/m:10")},
		Organizations:       []rpc.Organization{{Name: "default", Secrets: store}},
		DefaultOrganization: "default",
		MaxClockSkew:        5 * time.Minute,
		Callers:             caller.Admission{OverflowUID: caller.OverflowUID()},
		Ready:               func() error { return nil },
		Now:                 time.Now,
		NewAuditID:          func(now time.Time) string { return audit.NewID(now, nil) },
		Logger:              logger,
	}}
	if change != nil {
		change(&options)
	}
	options.HasTLS = options.TLS != nil
	f.server = rpc.New(options.Options)
	f.options = listen.Options{TLS: options.TLS, Refused: f.server.Refused}
	f.listen(t, "tcp", "127.0.0.1:0")
	t.Cleanup(func() {
		if err := log.Close(context.Background()); err != nil {
			t.Errorf("close the audit: %v", err)
		}
	})
	return f
}

// listen serves on the address until the test ends, and connects the client.
func (f *fixture) listen(t testing.TB, network, address string) {
	t.Helper()
	listener, err := listen.Open(t.Context(), listen.Address{Network: network, Address: address, SocketMode: 0o600}, f.options)
	if err != nil {
		t.Fatal(err)
	}
	f.listener = listener.Addr().String()
	f.listeners = append(f.listeners, listener)
	served := make(chan error, 1)
	go func() { served <- f.server.Serve(listener) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := errors.Join(f.server.Stop(ctx), <-served); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	f.conn = dial(t, listener.Addr().String())
	f.ChatIdentityServiceClient = pb.NewChatIdentityServiceClient(f.conn)
}

func dial(t testing.TB, address string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func issueFor(externalID, email string) *pb.IssueTokenRequest {
	return &pb.IssueTokenRequest{Customer: &pb.Customer{ExternalId: externalID, Email: email}}
}

// refusalOf returns what a client reads from an error of ours.
type refusalOf struct {
	reason, auditID string
	fields          []string
	retryAfter      time.Duration
	quota           string
	message         string
}

func detailsOf(t *testing.T, err error) refusalOf {
	t.Helper()
	said, ok := status.FromError(err)
	if !ok {
		t.Fatalf("%v is no gRPC status", err)
	}
	r := refusalOf{message: said.Message()}
	for _, detail := range said.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			if detail.GetDomain() != "chatidentity" {
				t.Errorf("domain %q", detail.GetDomain())
			}
			r.reason, r.auditID = detail.GetReason(), detail.GetMetadata()["audit_id"]
		case *errdetails.BadRequest:
			for _, violation := range detail.GetFieldViolations() {
				r.fields = append(r.fields, violation.GetField())
			}
		case *errdetails.RetryInfo:
			r.retryAfter = detail.GetRetryDelay().AsDuration()
		case *errdetails.QuotaFailure:
			r.quota = detail.GetViolations()[0].GetSubject()
		}
	}
	if len(r.auditID) != 36 {
		t.Errorf("audit ID %q", r.auditID)
	}
	return r
}

// record waits for the call's audit record and returns it.
func (f *fixture) record(t *testing.T, auditID string) map[string]any {
	t.Helper()
	var found map[string]any
	eventually(t, "the audit record "+auditID, func() bool {
		text, err := os.ReadFile(f.auditFile)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, auditID) && json.Unmarshal([]byte(line), &found) == nil {
				return true
			}
		}
		return false
	})
	return found
}

// eventually waits for something that another goroutine brings about.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	timeout := time.After(20 * time.Second)
	for !is() {
		select {
		case <-ticker.C:
		case <-timeout:
			t.Fatalf("no %s after 20 s", what)
		}
	}
}

type lockedWriter struct {
	mu sync.Mutex
	w  *bytes.Buffer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

var errPermission = fs.ErrPermission
