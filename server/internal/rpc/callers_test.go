package rpc_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

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

// clientTLS are what clients can show a listener that trusts the CA, by name. The empty name is
// plain text.
func clientTLS(t testing.TB, ca *callertest.CA) map[string]*tls.Config {
	t.Helper()
	show := func(pair callertest.Pair) *tls.Config {
		return &tls.Config{RootCAs: ca.Pool(), Certificates: []tls.Certificate{pair.TLS(t)}, MinVersion: tls.VersionTLS13}
	}
	named := func(change func(*x509.Certificate)) *tls.Config {
		return show(ca.Issue(t, func(c *x509.Certificate) {
			c.DNSNames = []string{"checkout.example"}
			change(c)
		}))
	}
	all := map[string]*tls.Config{
		"":             nil,
		"none":         {RootCAs: ca.Pool(), MinVersion: tls.VersionTLS13},
		"good":         show(ca.Client(t, goodSPIFFE)),
		"other":        show(ca.Client(t, otherSPIFFE)),
		"foreign":      show(callertest.NewCA(t).Client(t, goodSPIFFE)),
		"bit changed":  show(ca.Client(t, goodSPIFFE)),
		"DNS name":     named(func(*x509.Certificate) {}),
		"expired":      named(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }),
		"not yet good": named(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }),
		"for servers":  named(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }),
		"without name": named(func(c *x509.Certificate) { c.DNSNames = nil }),
	}
	leaf := all["bit changed"].Certificates[0].Certificate[0]
	leaf[len(leaf)-1] ^= 1 // the last bit of the CA's signature
	all["TLS 1.2"] = all["good"].Clone()
	all["TLS 1.2"].MinVersion, all["TLS 1.2"].MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	return all
}

// listeners are one of each kind, of one server.
type listeners struct {
	*fixture

	loopback, unix, outside string // their addresses
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

// attempt is a call over a new connection.
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
