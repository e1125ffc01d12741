package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/caller"
	"github.com/chatidentity/chatidentity/server/internal/caller/callertest"
)

const spiffeID = "spiffe://example.org/checkout"

// volume is a directory whose files change as in a Kubernetes volume: all at once, when the symlink
// ..data is swapped.
type volume struct {
	directory string
	swaps     int
}

func (v *volume) path(name string) string { return filepath.Join(v.directory, name) }

func (v *volume) swap(t *testing.T, files map[string][]byte) {
	t.Helper()
	v.swaps++
	version := v.path(fmt.Sprintf("..version-%d", v.swaps))
	if err := os.Mkdir(version, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(version, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join("..data", name), v.path(name)); err != nil && !os.IsExist(err) {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Base(version), v.path("..tmp")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(v.path("..tmp"), v.path("..data")); err != nil {
		t.Fatal(err)
	}
}

func newToken(t *testing.T, name string) (token, line string) {
	t.Helper()
	fresh, line, err := caller.NewToken(name)
	if err != nil {
		t.Fatal(err)
	}
	return fresh.Reveal(), line
}

func withToken(ctx context.Context, token string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
}

// outside returns a loopback address of the process's second listener, which is outside loopback.
func (p *running) outside(t *testing.T) string {
	t.Helper()
	for line := range strings.Lines(p.stderr.String()) {
		var serving struct {
			Message string   `json:"msg"`
			Listen  []string `json:"listen"`
		}
		if json.Unmarshal([]byte(line), &serving) == nil && serving.Message == "serving" {
			_, port, err := net.SplitHostPort(strings.TrimPrefix(serving.Listen[1], "tcp "))
			if err != nil {
				t.Fatal(err)
			}
			return "127.0.0.1:" + port
		}
	}
	t.Fatal("the log does not name the listeners")
	return ""
}

// issueOver makes one call over a new connection.
func issueOver(ctx context.Context, address string, transport credentials.TransportCredentials, request *pb.IssueTokenRequest) error {
	connection, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(transport))
	if err != nil {
		return err
	}
	defer connection.Close()
	_, err = pb.NewChatIdentityServiceClient(connection).IssueToken(ctx, request)
	return err
}

// Certificates, CAs, tokens and the policy change together, again and again. A call that is allowed
// before and after a change never fails, over lasting connections and new ones. Each change takes
// effect, and what it takes away is gone.
func TestFilesOfCallersSwapUnderLoad(t *testing.T) {
	t.Parallel()
	ca := callertest.NewCA(t)
	lasting, lastingLine := newToken(t, "lasting")
	v := &volume{directory: t.TempDir()}
	newest := struct {
		token string
		pair  callertest.Pair
		ca    *callertest.CA
	}{}
	swap := func(n int) {
		token, line := newToken(t, fmt.Sprintf("round-%d", n))
		newest.token, newest.pair, newest.ca = token, ca.Server(t), callertest.NewCA(t)
		policy := fmt.Sprintf("callers:\n  token:lasting: {organizations: all}\n  token:round-%d: {organizations: [default]}\n"+
			"  \"certificate:%s\": {organizations: all}\n", n, spiffeID)
		v.swap(t, map[string][]byte{
			"tls.crt": newest.pair.Certificate, "tls.key": newest.pair.Key, "ca.crt": append(append([]byte{}, ca.PEM...), newest.ca.PEM...),
			"tokens": []byte(lastingLine + "\n" + line + "\n"), "policy.yaml": []byte(policy),
		})
	}
	swap(0)
	p := start(t, withSecret(append(unlimited, "--listen", "0.0.0.0:0", "--audit-sync", "off", "--audit-file", filepath.Join(t.TempDir(), "audit.jsonl"),
		"--tls-cert", v.path("tls.crt"), "--tls-key", v.path("tls.key"), "--tls-client-ca", v.path("ca.crt"),
		"--caller-tokens-file", v.path("tokens"), "--policy-file", v.path("policy.yaml"))...))
	outside := p.outside(t)
	shown := func(from *callertest.CA) credentials.TransportCredentials { return clientTLS(t, ca, from) }
	certificate := shown(ca)

	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	var answered atomic.Int64
	loadBy := func(name string, call func(ctx context.Context, n int) error) {
		running.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				callCtx, done := context.WithTimeout(context.Background(), 20*time.Second)
				if err := call(callCtx, n); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				done()
				answered.Add(1)
			}
		})
	}
	client := p.client(t)
	loadBy("a token", func(ctx context.Context, n int) error {
		_, err := client.IssueToken(withToken(ctx, lasting), issueFor(fmt.Sprint("token", n), ""))
		return err
	})
	staying, err := grpc.NewClient("passthrough:///"+outside, grpc.WithTransportCredentials(certificate))
	if err != nil {
		t.Fatal(err)
	}
	defer staying.Close()
	loadBy("a certificate", func(ctx context.Context, n int) error {
		_, err := pb.NewChatIdentityServiceClient(staying).IssueToken(ctx, issueFor(fmt.Sprint("certificate", n), ""))
		return err
	})
	loadBy("new connections", func(ctx context.Context, n int) error {
		return issueOver(ctx, outside, certificate, issueFor(fmt.Sprint("new", n), ""))
	})

	for n := range 1 + rounds(15, 100, 100) {
		before := newest
		if n > 0 {
			swap(n)
		}
		eventually(t, fmt.Sprintf("effect of swap %d", n), func() bool {
			_, err := client.IssueToken(withToken(t.Context(), newest.token), issueFor(fmt.Sprint("probe", n), ""))
			return err == nil && servedBy(t, outside, ca, certificateOf(t, newest.pair)) &&
				issueOver(t.Context(), outside, shown(newest.ca), issueFor("probe", "")) == nil
		})
		if n == 0 {
			continue
		}
		if _, err := client.IssueToken(withToken(t.Context(), before.token), issueFor("before", "")); status.Code(err) != codes.Unauthenticated {
			t.Errorf("swap %d: the token before it: %v", n, err)
		}
		if err := issueOver(t.Context(), outside, shown(before.ca), issueFor("before", "")); status.Code(err) != codes.Unavailable {
			t.Errorf("swap %d: the CA before it: %v", n, err)
		}
	}
	cancel()
	running.Wait()
	t.Logf("%d calls during %d swaps", answered.Load(), v.swaps-1)
	if expiry := p.metric(t, "chatidentity_tls_certificate_expiry_timestamp_seconds"); expiry < float64(time.Now().Unix()) {
		t.Errorf("the certificate expires at %v", expiry)
	}
	for _, kind := range []string{"caller_tokens", "tls", "policy"} {
		if got := p.metric(t, `chatidentity_file_reloads_total{file="`+kind+`",result="ok"}`); int(got) != v.swaps-1 {
			t.Errorf("%s was reloaded %v times, want %d", kind, got, v.swaps-1)
		}
	}
}

// clientTLS trusts servers of one CA and shows a certificate of another.
func clientTLS(t *testing.T, servers, from *callertest.CA) credentials.TransportCredentials {
	t.Helper()
	return credentials.NewTLS(&tls.Config{
		RootCAs: servers.Pool(), Certificates: []tls.Certificate{from.Client(t, spiffeID).TLS(t)}, MinVersion: tls.VersionTLS13,
	})
}

func certificateOf(t *testing.T, pair callertest.Pair) []byte {
	t.Helper()
	return pair.TLS(t).Certificate[0]
}

// servedBy reports whether the listener shows the certificate.
func servedBy(t *testing.T, address string, ca *callertest.CA, der []byte) bool {
	t.Helper()
	connection, err := tls.Dial("tcp", address, &tls.Config{RootCAs: ca.Pool(), MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	return string(connection.ConnectionState().PeerCertificates[0].Raw) == string(der)
}
