package rpc_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

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

// fixture is a server on a real socket, with a real audit file and real limits. All of them follow
// one clock, which stands still until it is moved.
type fixture struct {
	pb.ChatIdentityServiceClient

	conn      *grpc.ClientConn
	server    *rpc.Server
	auditFile string
	log       *lockedBuffer
	clock     *clock
	listener  string // the address of the last one
	listeners []*listen.Listener
	options   listen.Options
}

// setup is what a test may change about a server and its listeners.
type setup struct {
	rpc.Options

	TLS   func() *caller.TLS // of listeners outside loopback
	clock *clock
}

type clock struct {
	start time.Time

	mu      sync.Mutex
	elapsed time.Duration
}

// newClock starts in the middle of the current second: certificates are valid around now.
func newClock() *clock {
	return &clock{start: time.Now().Truncate(time.Second).Add(500 * time.Millisecond)}
}

func (c *clock) read() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.elapsed
}

func (c *clock) now() time.Time { return c.start.Add(c.read()) }

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

func (c *clock) organization(t testing.TB, name, signingSecret string) rpc.Organization {
	t.Helper()
	store, err := secret.Open(secret.Options{Organization: name, Now: c.now}, secret.Source{Value: sensitive.New(signingSecret)})
	if err != nil {
		t.Fatal(err)
	}
	return rpc.Organization{Name: name, Secrets: store}
}

// serve starts a server that is set up like `serve`, after the change.
func serve(t testing.TB, change func(*setup)) *fixture {
	t.Helper()
	f := &fixture{auditFile: filepath.Join(t.TempDir(), "audit.jsonl"), log: &lockedBuffer{}, clock: newClock()}
	logger := slog.New(slog.NewJSONHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	log, err := writer.Open(writer.Options{File: f.auditFile, NoSync: true, Now: f.clock.now, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	options := setup{clock: f.clock, Options: rpc.Options{
		Audit:               log,
		Limiter:             ratelimit.NewLocal(1024, f.clock.read),
		Limits:              ratelimit.Rates{ratelimit.Caller: rate(t, "200/s:400"), ratelimit.Customer: rate(t, "10/m:10")},
		Organizations:       []rpc.Organization{f.clock.organization(t, "default", signingSecret)},
		DefaultOrganization: "default",
		MaxClockSkew:        5 * time.Minute,
		Callers:             caller.Admission{OverflowUID: caller.OverflowUID()},
		Ready:               func() error { return nil },
		Now:                 f.clock.now,
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

// record waits for the call's audit record and returns it.
func (f *fixture) record(t *testing.T, auditID string) map[string]any {
	t.Helper()
	var found map[string]any
	eventually(t, "the audit record "+auditID, func() bool {
		for line := range strings.Lines(f.audit(t)) {
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

type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buffer.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buffer.String()
}

// metric returns the sum of a metric's values whose labels contain the text.
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

// series returns the values of all metrics whose names have the prefix, by name and labels.
func (f *fixture) series(t *testing.T, prefix string) map[string]float64 {
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
			if strings.HasPrefix(family.GetName(), prefix) {
				series[family.GetName()+fmt.Sprint(m.GetLabel())] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return series
}

// audit returns what has been recorded so far.
func (f *fixture) audit(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(f.auditFile)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
