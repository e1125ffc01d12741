package listen_test

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/chatidentity/chatidentity/server/internal/caller"
	"github.com/chatidentity/chatidentity/server/internal/caller/callertest"
	"github.com/chatidentity/chatidentity/server/internal/listen"
)

// handshake lets the client connect to a listener at host. It returns what grpc learns about the
// connection, or what was refused.
func handshake(t *testing.T, host string, trusted func() *caller.TLS, client func(address string)) (*listen.Connection, []listen.Refusal) {
	t.Helper()
	var refused []listen.Refusal
	listener, err := listen.Open(t.Context(), listen.Address{Network: "tcp", Address: host + ":0"},
		listen.Options{TLS: trusted, Refused: func(r listen.Refusal) { refused = append(refused, r) }})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	listen.CloseIfStuck(t, listener)
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	done := make(chan struct{})
	go func() {
		defer close(done)
		client("127.0.0.1:" + port)
	}()
	raw, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	listen.CloseIfStuck(t, raw)
	_, info, err := listen.Credentials().ServerHandshake(raw)
	raw.Close()
	<-done
	if err != nil {
		return nil, refused
	}
	return info.(*listen.Connection), refused
}

func TestAConnectionKnowsItsCaller(t *testing.T) {
	t.Parallel()
	ca := callertest.NewCA(t)
	show := func(shown callertest.Pair) func(string) {
		return func(address string) {
			config := &tls.Config{
				RootCAs: ca.Pool(), Certificates: []tls.Certificate{shown.TLS(t)},
				NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS13,
			}
			if conn, err := tls.Dial("tcp", address, config); err == nil {
				_, _ = conn.Read(make([]byte, 1)) // the server's verdict on the certificate
				conn.Close()
			}
		}
	}
	plain := func(address string) {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
		}
	}
	issue := func(change func(*x509.Certificate)) callertest.Pair { return ca.Issue(t, change) }
	checkout := ca.Client(t, "spiffe://example.org/checkout")
	own := ca.Server(t)
	trusted, err := caller.ParseTLS(own.Certificate, own.Key, ca.PEM)
	if err != nil {
		t.Fatal(err)
	}
	secured := func() *caller.TLS { return trusted }
	for name, test := range map[string]struct {
		host    string
		trusted func() *caller.TLS
		client  func(string)
		want    string // empty: refused
		kind    string // as which it is refused
	}{
		"loopback":                 {"127.0.0.1", secured, plain, "loopback", ""},
		"outside, without TLS":     {"0.0.0.0", nil, plain, "loopback", ""}, // from and to 127.0.0.1
		"a certificate":            {"0.0.0.0", secured, show(checkout), "certificate:spiffe://example.org/checkout", ""},
		"a certificate of another": {"0.0.0.0", secured, show(callertest.NewCA(t).Client(t, "spiffe://example.org/checkout")), "", "certificate_untrusted"},
		"an expired certificate":   {"0.0.0.0", secured, show(issue(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })), "", "certificate_expired"},
		"a server's certificate":   {"0.0.0.0", secured, show(ca.Server(t)), "", "certificate_usage"},
		"no name":                  {"0.0.0.0", secured, show(issue(func(*x509.Certificate) {})), "", "certificate_name"},
		"a web address":            {"0.0.0.0", secured, show(ca.Client(t, "https://example.org/checkout")), "", "certificate_name"},
		"too many certificates":    {"0.0.0.0", secured, show(withChain(checkout, 64<<10)), "", "tls"},
		"no certificate yet":       {"0.0.0.0", func() *caller.TLS { return nil }, show(checkout), "", "tls"},
		"plain text, none yet":     {"0.0.0.0", func() *caller.TLS { return nil }, plain, "", "tls"},
		"plain text":               {"0.0.0.0", secured, plain, "", "tls"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			connection, refused := handshake(t, test.host, test.trusted, test.client)
			if test.want == "" {
				if connection != nil || len(refused) != 1 || refused[0].Kind != test.kind || refused[0].Err == nil || !strings.HasPrefix(refused[0].Peer, "127.0.0.1:") {
					t.Errorf("connection %v, refused %+v; want the handshake refused once, with its peer", connection, refused)
				}
				return
			}
			if connection == nil || connection.Caller.String() != test.want || !strings.HasPrefix(connection.Caller.Peer, "127.0.0.1:") {
				t.Fatalf("connection %+v, refused %+v; want %s", connection, refused, test.want)
			}
			isCertificate := connection.Caller.Kind == caller.Certificate
			if !connection.IsTrusted(time.Now()) || connection.IsTrusted(time.Now().Add(2*time.Hour)) == isCertificate {
				t.Error("a connection is trusted as long as its certificate, or for ever without one")
			}
		})
	}
}

// An authority that goes takes the connections of its certificates with it; new files of the same
// one do not.
func TestAConnectionIsTrustedAsLongAsItsAuthority(t *testing.T) {
	t.Parallel()
	ca, own := callertest.NewCA(t), callertest.NewCA(t).Server(t)
	trusting := func(ca *callertest.CA) *caller.TLS {
		trusted, err := caller.ParseTLS(own.Certificate, own.Key, ca.PEM)
		if err != nil {
			t.Fatal(err)
		}
		return trusted
	}
	current := trusting(ca)
	shown := ca.Client(t, "spiffe://example.org/checkout").TLS(t)
	connection, refused := handshake(t, "0.0.0.0", func() *caller.TLS { return current }, func(address string) {
		config := &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{shown}, NextProtos: []string{"h2"}}
		if conn, err := tls.Dial("tcp", address, config); err == nil {
			_, _ = conn.Read(make([]byte, 1))
			conn.Close()
		}
	})
	if connection == nil {
		t.Fatalf("refused %+v", refused)
	}
	for _, step := range []struct {
		when string
		now  *caller.TLS
		want bool
	}{
		{"new files", trusting(ca), true},
		{"another authority", trusting(callertest.NewCA(t)), false},
		{"the first one again", trusting(ca), true},
	} {
		if current = step.now; connection.IsTrusted(time.Now()) != step.want {
			t.Errorf("%s: trusted: %t", step.when, !step.want)
		}
	}
}

// withChain returns the pair with its certificate again and again, until it is of the given size.
func withChain(pair callertest.Pair, size int) callertest.Pair {
	one := pair.Certificate
	for len(pair.Certificate) < size*4/3 { // PEM
		pair.Certificate = append(slices.Clip(pair.Certificate), one...)
	}
	return pair
}

func TestAConnectionFromElsewhereIsOfNobody(t *testing.T) {
	t.Parallel()
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	if _, info, err := listen.Credentials().ServerHandshake(ours); err == nil {
		t.Errorf("a pipe is %v", info)
	}
	nobody := listen.ConnectionOf(t.Context())
	if (caller.Admission{}).May(nobody.Caller, caller.CheckHealth) {
		t.Errorf("nobody is let in: %+v", nobody)
	}
}

// A client that connects early and calls later is sent away, so that no call of its own is lost.
func TestAnIdleClientIsSentAway(t *testing.T) {
	t.Parallel()
	listener, err := listen.Open(t.Context(), listen.Address{Network: "tcp", Address: "127.0.0.1:0"}, listen.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	listen.CloseIfStuck(t, listener, client)
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := listen.Credentials().ServerHandshake(accepted); err != nil {
		t.Fatal(err)
	}
	frame, err := http2.NewFramer(nil, client).ReadFrame()
	if goAway, ok := frame.(*http2.GoAwayFrame); !ok || goAway.ErrCode != http2.ErrCodeNo || goAway.LastStreamID != 0 {
		t.Errorf("the client is told %v, %v", frame, err)
	}
}
