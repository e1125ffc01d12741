package rpc_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/caller"
	"github.com/chatidentity/chatidentity/server/internal/caller/callertest"
	"github.com/chatidentity/chatidentity/server/internal/policy"
)

const (
	goodToken   = "chatidentity_canary-token-of-checkout"
	otherToken  = "chatidentity_canary-token-of-another"
	goodSPIFFE  = "spiffe://example.org/checkout"
	otherSPIFFE = "spiffe://example.org/another"
)

func digestOf(token string) string {
	digest := sha256.Sum256([]byte(token))
	return hex.EncodeToString(digest[:])
}

func knownTokens(t testing.TB) func() *caller.Tokens {
	t.Helper()
	tokens, err := caller.ParseTokens([]byte("checkout sha256:" + digestOf(goodToken) + "\nanother sha256:" + digestOf(otherToken)))
	if err != nil {
		t.Fatal(err)
	}
	return func() *caller.Tokens { return tokens }
}

func allOf(names ...string) func() *policy.Policy {
	all := &policy.Policy{Callers: map[string]*policy.Grant{}}
	for _, name := range names {
		all.Callers[name] = &policy.Grant{AllOrganizations: true, Methods: policy.Methods()}
	}
	return func() *policy.Policy { return all }
}

func serverTLS(t testing.TB, ca *callertest.CA) func() *caller.TLS {
	t.Helper()
	own := ca.Server(t)
	trusted, err := caller.ParseTLS(own.Certificate, own.Key, ca.PEM)
	if err != nil {
		t.Fatal(err)
	}
	return func() *caller.TLS { return trusted }
}

// listeners are one of each kind, of one server.
type listeners struct {
	*fixture
	loopback, unix, outside string
}

func serveEverywhere(t *testing.T, change func(*setup)) *listeners {
	t.Helper()
	l := &listeners{fixture: serve(t, change)}
	l.loopback = l.listener
	path := filepath.Join(t.TempDir(), "s")
	l.listen(t, "unix", path)
	l.unix = "unix:" + path
	l.listen(t, "tcp", "0.0.0.0:0")
	_, port, _ := strings.Cut(l.listener[strings.LastIndex(l.listener, ":"):], ":")
	l.outside = "127.0.0.1:" + port
	return l
}

// attempt is one call over a connection of its own.
type attempt struct {
	address       string
	certificates  *tls.Config // nil: plain text
	authorization []string
}

func (a attempt) dial(t *testing.T) *grpc.ClientConn {
	t.Helper()
	transport := insecure.NewCredentials()
	if a.certificates != nil {
		transport = credentials.NewTLS(a.certificates)
	}
	target := a.address
	if !strings.HasPrefix(target, "unix:") {
		target = "passthrough:///" + target
	}
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(transport))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func (a attempt) context(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return metadata.NewOutgoingContext(ctx, metadata.MD{"authorization": a.authorization})
}

func (a attempt) issue(t *testing.T) error {
	t.Helper()
	_, err := pb.NewChatIdentityServiceClient(a.dial(t)).IssueToken(a.context(t), issueFor("user_id", ""))
	return err
}

// Who is let in: every kind of caller, allowed, denied and malformed, on each
// kind of listener. What is refused before the handshake ends is UNAVAILABLE to
// the client, counted, and leaves no record.
func TestWhoIsLetIn(t *testing.T) {
	t.Parallel()
	own := uint32(os.Getuid())
	ownUID := "uid:" + strconv.Itoa(os.Getuid())
	ca, foreignCA := callertest.NewCA(t), callertest.NewCA(t)
	secured := serverTLS(t, ca)
	letIn := caller.Admission{AllowedUIDs: []uint32{own}, OverflowUID: caller.OverflowUID()}
	configurations := map[string]*listeners{
		"no policy": serveEverywhere(t, func(o *setup) {
			o.Callers, o.TLS = letIn, secured
		}),
		"tokens, no policy": serveEverywhere(t, func(o *setup) {
			o.Callers, o.TLS = letIn, secured
			o.Callers.Tokens = knownTokens(t)
		}),
		"policy": serveEverywhere(t, func(o *setup) {
			o.Callers, o.TLS = letIn, secured
			o.Policy = allOf("loopback", ownUID, "certificate:"+goodSPIFFE)
		}),
		"policy for others": serveEverywhere(t, func(o *setup) {
			o.Callers, o.TLS = letIn, secured
			o.Policy = allOf("token:somebody", "uid:12345")
		}),
		"tokens and policy": serveEverywhere(t, func(o *setup) {
			o.Callers, o.TLS = letIn, secured
			o.Callers.Tokens = knownTokens(t)
			o.Policy = allOf("loopback", ownUID, "token:checkout", "certificate:"+goodSPIFFE)
		}),
		"uid not allowed": serveEverywhere(t, func(o *setup) {
			o.Callers = caller.Admission{AllowedUIDs: []uint32{own + 1}, OverflowUID: caller.OverflowUID(), Tokens: knownTokens(t)}
			o.TLS = secured
			o.Policy = allOf(ownUID, "token:checkout")
		}),
	}

	show := func(pair callertest.Pair) *tls.Config {
		return &tls.Config{RootCAs: ca.Pool(), Certificates: []tls.Certificate{pair.TLS(t)}, MinVersion: tls.VersionTLS13}
	}
	good, other := show(ca.Client(t, goodSPIFFE)), show(ca.Client(t, otherSPIFFE))
	dns := show(ca.Issue(t, func(c *x509.Certificate) { c.DNSNames = []string{"checkout.example"} }))
	expired := show(ca.Issue(t, func(c *x509.Certificate) {
		c.DNSNames, c.NotAfter = []string{"checkout.example"}, time.Now().Add(-time.Minute)
	}))
	notYet := show(ca.Issue(t, func(c *x509.Certificate) {
		c.DNSNames, c.NotBefore = []string{"checkout.example"}, time.Now().Add(time.Minute)
	}))
	ofServer := show(ca.Issue(t, func(c *x509.Certificate) {
		c.DNSNames, c.ExtKeyUsage = []string{"checkout.example"}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}))
	nameless := show(ca.Issue(t, func(*x509.Certificate) {}))
	foreign := show(foreignCA.Client(t, goodSPIFFE))
	changed := show(ca.Client(t, goodSPIFFE))
	leaf := changed.Certificates[0].Certificate[0]
	leaf[len(leaf)-1] ^= 1 // the last bit of the CA's signature
	none := &tls.Config{RootCAs: ca.Pool(), MinVersion: tls.VersionTLS13}
	old := good.Clone()
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12

	bearer := func(token string) []string { return []string{"Bearer " + token} }
	bitChanged := []byte(goodToken)
	bitChanged[20] ^= 1
	const (
		loopback, unix, outside = "loopback", "unix", "outside"

		ok              = codes.OK
		unauthenticated = codes.Unauthenticated
		denied          = codes.PermissionDenied
		handshake       = codes.Unavailable
	)
	type tried struct {
		name, configuration, listener string
		certificates                  *tls.Config
		authorization                 []string
		want                          codes.Code
		caller                        string // in the audit record
	}
	all := []tried{
		// loopback
		{"loopback", "no policy", loopback, nil, nil, ok, "loopback"},
		{"loopback", "policy", loopback, nil, nil, ok, "loopback"},
		{"loopback", "policy for others", loopback, nil, nil, denied, "loopback"},
		{"loopback", "tokens, no policy", loopback, nil, nil, unauthenticated, "loopback"},
		{"loopback", "tokens and policy", loopback, nil, nil, unauthenticated, "loopback"},
		{"TLS on loopback", "no policy", loopback, good, nil, handshake, ""},
		// unix
		{"an allowed uid", "no policy", unix, nil, nil, ok, ownUID},
		{"an allowed uid", "policy", unix, nil, nil, ok, ownUID},
		{"an allowed uid", "tokens, no policy", unix, nil, nil, ok, ownUID},
		{"an allowed uid", "tokens and policy", unix, nil, nil, ok, ownUID},
		{"a uid without a grant", "policy for others", unix, nil, nil, denied, ownUID},
		{"a disallowed uid with a grant", "uid not allowed", unix, nil, nil, denied, ownUID},
		{"a disallowed uid with a token", "uid not allowed", unix, nil, bearer(goodToken), denied, "token:checkout"},
		{"TLS on a unix socket", "no policy", unix, good, nil, handshake, ""},
		// certificates
		{"a certificate", "no policy", outside, good, nil, ok, "certificate:" + goodSPIFFE},
		{"a certificate with a DNS name", "no policy", outside, dns, nil, ok, "certificate:checkout.example"},
		{"a certificate", "policy", outside, good, nil, ok, "certificate:" + goodSPIFFE},
		{"a certificate", "tokens and policy", outside, good, nil, ok, "certificate:" + goodSPIFFE},
		{"a certificate of another name", "policy", outside, other, nil, denied, "certificate:" + otherSPIFFE},
		{"a certificate of a DNS name", "policy", outside, dns, nil, denied, "certificate:checkout.example"},
		{"plain text", "no policy", outside, nil, nil, handshake, ""},
		{"no certificate", "no policy", outside, none, nil, handshake, ""},
		{"an expired certificate", "no policy", outside, expired, nil, handshake, ""},
		{"a certificate of tomorrow", "no policy", outside, notYet, nil, handshake, ""},
		{"a foreign certificate", "no policy", outside, foreign, nil, handshake, ""},
		{"a certificate for servers", "no policy", outside, ofServer, nil, handshake, ""},
		{"a certificate without a name", "no policy", outside, nameless, nil, handshake, ""},
		{"a certificate with a bit changed", "no policy", outside, changed, nil, handshake, ""},
		{"TLS 1.2", "no policy", outside, old, nil, handshake, ""},
		{"a token, but no certificate", "tokens and policy", outside, none, bearer(goodToken), handshake, ""},
		// a token where there are none is not read
		{"a stray token", "no policy", loopback, nil, bearer("whatever"), ok, "loopback"},
		{"a token on a connection that has a grant", "policy", loopback, nil, bearer("whatever"), ok, "loopback"},
	}
	// tokens, on each listener
	for listener, connection := range map[string]struct {
		certificates *tls.Config
		caller       string
	}{
		loopback: {nil, "loopback"}, unix: {nil, ownUID}, outside: {good, "certificate:" + goodSPIFFE},
	} {
		for _, token := range []struct {
			name          string
			authorization []string
			want          codes.Code
			caller        string
		}{
			{"the token", bearer(goodToken), ok, "token:checkout"},
			{"a token without a grant", bearer(otherToken), denied, "token:another"},
			{"a wrong token", bearer("chatidentity_canary-wrong"), unauthenticated, ""},
			{"a token with a bit changed", bearer(string(bitChanged)), unauthenticated, ""},
			{"the digest as token", bearer(digestOf(goodToken)), unauthenticated, ""},
			{"the token without a scheme", []string{goodToken}, unauthenticated, ""},
			{"another scheme", []string{"Basic " + goodToken}, unauthenticated, ""},
			{"two tokens", []string{"Bearer " + goodToken, "Bearer " + goodToken}, unauthenticated, ""},
			{"an empty header", []string{""}, unauthenticated, ""},
		} {
			who := token.caller
			if who == "" {
				who = connection.caller
			}
			all = append(all, tried{token.name, "tokens and policy", listener, connection.certificates, token.authorization, token.want, who})
		}
	}
	reasons := map[codes.Code]string{unauthenticated: "CALLER_UNAUTHENTICATED", denied: "CALLER_DENIED"}
	for _, test := range all {
		t.Run(test.configuration+"/"+test.listener+"/"+test.name, func(t *testing.T) {
			t.Parallel()
			server := configurations[test.configuration]
			address := map[string]string{loopback: server.loopback, unix: server.unix, outside: server.outside}[test.listener]
			err := attempt{address, test.certificates, test.authorization}.issue(t)
			if status.Code(err) != test.want {
				t.Fatalf("%v, want %v", err, test.want)
			}
			if reason := reasons[test.want]; reason != "" {
				refused := detailsOf(t, err)
				if refused.reason != reason {
					t.Errorf("reason %s, want %s", refused.reason, reason)
				}
				if strings.Contains(err.Error(), "canary") {
					t.Errorf("the error holds the token: %v", err)
				}
			}
			if test.caller != "" {
				server.recordOf(t, test.want, test.caller)
			}
		})
	}
	t.Cleanup(func() {
		for name, server := range configurations {
			server.holdsNoToken(t, name)
		}
	})
}

// recordOf waits for a record of the outcome and the caller. Refusals within a
// second share one.
func (l *listeners) recordOf(t *testing.T, outcome codes.Code, who string) {
	t.Helper()
	code := map[codes.Code]string{codes.OK: "OK", codes.Unauthenticated: "UNAUTHENTICATED", codes.PermissionDenied: "PERMISSION_DENIED"}[outcome]
	eventually(t, code+" record of "+who, func() bool {
		text, err := os.ReadFile(l.auditFile)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, `"outcome":"`+code+`"`) && strings.Contains(line, `"caller":"`+who+`"`) {
				return true
			}
		}
		return false
	})
}

func (f *fixture) holdsNoToken(t *testing.T, name string) {
	t.Helper()
	text, err := os.ReadFile(f.auditFile)
	if err != nil {
		t.Error(err)
	}
	if strings.Contains(string(text)+f.log.String(), "canary") || strings.Contains(string(text), digestOf(goodToken)) {
		t.Errorf("%s: the audit or the log holds a token or its digest", name)
	}
}

// Probes have no token: health is open to whoever is let in, whatever the policy.
// Reflection is for callers that may do something.
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
