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
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/caller"
	"github.com/chatidentity/chatidentity/server/internal/caller/callertest"
)

const spiffeID = "spiffe://example.org/checkout"

// volume is a directory of files that change as Kubernetes changes them: all at
// once, by a swap of the symlink ..data.
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

// outside returns the address of the listener outside loopback, the second of
// the process, over loopback.
func (p *process) outside(t *testing.T) string {
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

// issueOver makes one call over a connection of its own.
func issueOver(ctx context.Context, address string, transport credentials.TransportCredentials, request *pb.IssueTokenRequest) error {
	connection, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(transport))
	if err != nil {
		return err
	}
	defer connection.Close()
	_, err = pb.NewChatIdentityServiceClient(connection).IssueToken(ctx, request)
	return err
}

// Certificates, CAs, tokens and the policy change together, again and again. No
// call fails that is allowed before and after, over connections that stay and
// over new ones; each change takes effect; and what it takes away is gone.
func TestAccessSwapsUnderLoad(t *testing.T) {
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
	shown := func(from *callertest.CA) credentials.TransportCredentials {
		return credentials.NewTLS(&tls.Config{
			RootCAs: ca.Pool(), Certificates: []tls.Certificate{from.Client(t, spiffeID).TLS(t)}, MinVersion: tls.VersionTLS13,
		})
	}
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

// A change that is wrong leaves what was there, is told once with its place, and
// is counted. Another's organizations take a restart.
func TestABadPolicyLeavesTheLastGoodOne(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "policy.yaml")
	write := func(text string) {
		if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	write("callers:\n  loopback: {organizations: all}\n")
	p := start(t, withSecret("--policy-file", file))
	failed := `chatidentity_file_reloads_total{file="policy",result="error"}`
	for i, bad := range []struct{ text, want string }{
		{"callers:\n  loopback: {organisations: all}\n", "line 2, column 14"},
		{"callers: [", "line 2, column 1"},
		{"organizations:\n  more: {secret_file: /x}\ncallers:\n  uid:1: {organizations: all}\n", "restart"},
	} {
		write(bad.text)
		eventually(t, "count", func() bool { return p.metric(t, failed) == float64(i+1) })
		if !strings.Contains(p.stderr.String(), bad.want) {
			t.Errorf("the log does not tell %q", bad.want)
		}
		if _, err := p.client(t).IssueToken(t.Context(), issueFor("user_id", "")); err != nil {
			t.Errorf("under the last good policy: %v", err)
		}
	}
	write("callers:\n  uid:1: {organizations: all}\n")
	eventually(t, "default deny", func() bool {
		_, err := p.client(t).IssueToken(t.Context(), issueFor("user_id", ""))
		return reason(err) == "CALLER_DENIED"
	})
}

func TestTokensFromTheCommandLine(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := command(t, nil, "", "caller-token", "checkout", "--output", "json")
	var made callerTokenAnswer
	if err := json.Unmarshal([]byte(stdout), &made); code != 0 || err != nil {
		t.Fatalf("code %d, %v: %s", code, err, stderr)
	}
	file := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(file, []byte(made.Line+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	auditFile := filepath.Join(t.TempDir(), "audit.jsonl")
	p := start(t, withSecret("--caller-tokens-file", file, "--audit-file", auditFile))
	if err := issueOver(withToken(t.Context(), made.Token), p.address, insecure.NewCredentials(), issueFor("user_id", "")); err != nil {
		t.Error(err)
	}
	err := issueOver(t.Context(), p.address, insecure.NewCredentials(), issueFor("user_id", ""))
	if status.Code(err) != codes.Unauthenticated || reason(err) != "CALLER_UNAUTHENTICATED" {
		t.Errorf("without a token: %v", err)
	}
	if code, stdout, _ := command(t, nil, "", "health", "--address", p.address); code != 0 {
		t.Errorf("a probe without a token: code %d, %s", code, stdout)
	}
	if code, _, stderr := command(t, nil, "", "caller-token", "two words"); code != 2 || !strings.Contains(stderr, "caller-token") {
		t.Errorf("a bad name: code %d, %s", code, stderr)
	}
	p.stop(t)
	text, err := os.ReadFile(auditFile)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), `"caller":"token:checkout"`) || strings.Contains(string(text)+p.stderr.String(), made.Token) {
		t.Error("the audit must name the caller, and nothing may hold the token")
	}
}

// Each wrong access is one line that names the flag, and exit code 2.
func TestWrongAccessConfiguration(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(directory, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ca, other := callertest.NewCA(t), callertest.NewCA(t)
	pair, otherPair := ca.Server(t), other.Server(t)
	certificate, key, clients := file("crt", string(pair.Certificate)), file("key", string(pair.Key)), file("ca", string(ca.PEM))
	otherKey, empty := file("other", string(otherPair.Key)), file("empty", "")
	mixed := file("mixed", string(ca.PEM)+string(pair.Key))
	free := []string{"--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"}
	outside := []string{"--listen", "0.0.0.0:0", "--admin-listen", "127.0.0.1:0"}
	policy := func(name, text string) []string {
		return append(free, "--policy-file", file(name, text))
	}
	const callers = "callers: {loopback: {organizations: all}}\n"
	noSecret := map[string]bool{"no source, and no organizations": true, "an organization of the flags without a secret": true, "a variable that is not set": true}
	for name, test := range map[string]struct {
		args []string
		want []string
	}{
		"outside without TLS":             {outside, []string{"--listen 0.0.0.0:0", "--tls-cert"}},
		"outside without a key":           {append(outside, "--tls-cert", certificate, "--tls-client-ca", clients), []string{"--tls-key"}},
		"outside without a CA":            {append(outside, "--tls-cert", certificate, "--tls-key", key), []string{"--tls-client-ca"}},
		"outside with a CA alone":         {append(outside, "--tls-client-ca", clients), []string{"--tls-cert"}},
		"TLS for nobody":                  {append(free, "--tls-cert", certificate, "--tls-key", key, "--tls-client-ca", clients), []string{"--tls-cert has no use"}},
		"another key":                     {append(outside, "--tls-cert", certificate, "--tls-key", otherKey, "--tls-client-ca", clients), []string{"--tls-key"}},
		"no certificate there":            {append(outside, "--tls-cert", "/no/such", "--tls-key", key, "--tls-client-ca", clients), []string{"--tls-cert", "/no/such"}},
		"no CA in the file":               {append(outside, "--tls-cert", certificate, "--tls-key", key, "--tls-client-ca", key), []string{"--tls-client-ca"}},
		"a key among the CAs":             {append(outside, "--tls-cert", certificate, "--tls-key", key, "--tls-client-ca", mixed), []string{"--tls-client-ca"}},
		"no tokens":                       {append(free, "--caller-tokens-file", empty), []string{"--caller-tokens-file", "empty"}},
		"bad tokens":                      {append(free, "--caller-tokens-file", clients), []string{"--caller-tokens-file", "line 1"}},
		"no policy":                       {append(free, "--policy-file", "/no/such"), []string{"--policy-file", "/no/such"}},
		"a bad policy":                    {policy("bad", "callers:\n  loopback: {}\n"), []string{"--policy-file", "line 2, column 13"}},
		"an organization nowhere":         {policy("nowhere", "callers: {loopback: {organizations: [nowhere]}}"), []string{"--policy-file", "line 1", "nowhere"}},
		"the default one twice":           {policy("twice", "organizations: {default: {secret_file: /x}}\n"+callers), []string{"--organization default", "--policy-file"}},
		"no keys of an issuer":            {policy("issuer", "issuers: {login: {issuer: x, audience: y, email: email, jwks_file: /no/such}}\n"+callers), []string{"--policy-file", "login", "/no/such"}},
		"no source, and no organizations": {policy("none", callers), []string{"--secret-file"}},
		"an organization of the flags without a secret": {append(policy("flag", "organizations: {acme: {secret_file: /x}}\n"+callers), "--organization", "other"), []string{"--organization other"}},
		"a variable that is not set":                    {policy("variable", "organizations: {acme: {secret_env: NO_SUCH_VARIABLE}}\n"+callers), []string{"acme", "NO_SUCH_VARIABLE"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := []string{"KUSTOMER_SECRET_KEY=" + testSecret}
			if noSecret[name] {
				env = nil
			}
			code, stdout, stderr := command(t, env, "", append([]string{"serve"}, test.args...)...)
			lines := strings.Split(strings.TrimSpace(stderr), "\n")
			last := lines[len(lines)-1]
			if code != 2 || stdout != "" || !strings.HasPrefix(last, "chatidentity: ") {
				t.Errorf("exit code %d, output %q, error %q", code, stdout, stderr)
			}
			for _, part := range test.want {
				if !strings.Contains(last, part) {
					t.Errorf("%q does not name %s", last, part)
				}
			}
		})
	}
	for _, flag := range []string{"--policy-file", "--caller-tokens-file", "--tls-cert"} {
		if code, _, stderr := command(t, nil, "", "dev", "--exit", flag, clients); code != 2 || !strings.Contains(stderr, flag) {
			t.Errorf("dev %s: code %d, %s", flag, code, stderr)
		}
	}
}
