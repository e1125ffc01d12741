package caller_test

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/caller"
	"github.com/chatidentity/chatidentity/server/internal/caller/callertest"
)

// While the files are missing, no handshake succeeds, and no certificate expires.
func TestTLSWithoutFilesLetsNobodyIn(t *testing.T) {
	t.Parallel()
	var missing *caller.TLS
	config := missing.Config()
	if config.MinVersion != tls.VersionTLS13 || config.GetConfigForClient == nil {
		t.Fatalf("config %+v", config)
	}
	if _, err := config.GetConfigForClient(nil); err == nil {
		t.Error("a handshake would go on")
	}
	if at := missing.ExpireTime(); !at.Equal(time.Unix(0, 0)) {
		t.Errorf("expires %v", at)
	}
	if err := missing.Expired(time.Now()); err != nil {
		t.Error(err)
	}
}

// The listener's certificate serves to its last second, and asks each client for one of its own.
func TestTLSExpiresAfterItsCertificate(t *testing.T) {
	t.Parallel()
	ca := callertest.NewCA(t)
	server := parseTLS(t, ca, ca.Server(t))
	last := server.ExpireTime()
	if err := server.Expired(last); err != nil {
		t.Error(err)
	}
	if err := server.Expired(last.Add(time.Nanosecond)); err == nil {
		t.Error("it serves on")
	}
	config := server.Config()
	if config.ClientAuth != tls.RequireAndVerifyClientCert || !config.SessionTicketsDisabled ||
		config.MinVersion != tls.VersionTLS13 || config.GetConfigForClient != nil {
		t.Errorf("config %+v", config)
	}
}

func TestVerifyAsksForAChainToTheClientsCA(t *testing.T) {
	t.Parallel()
	ca, other := callertest.NewCA(t), callertest.NewCA(t)
	server := parseTLS(t, ca, ca.Server(t))
	chain := func(pairs ...callertest.Pair) []*x509.Certificate {
		var sent []*x509.Certificate
		for _, pair := range pairs {
			sent = append(sent, pair.TLS(t).Leaf)
		}
		return sent
	}
	client := ca.Client(t, "spiffe://example.org/client")
	for name, test := range map[string]struct {
		sent []*x509.Certificate
		at   time.Time
		good bool
	}{
		"good":                      {chain(client), time.Now(), true},
		"with one that is not used": {chain(client, other.Server(t)), time.Now(), true},
		"none":                      {nil, time.Now(), false},
		"of another CA":             {chain(other.Client(t, "spiffe://example.org/client")), time.Now(), false},
		"a server's":                {chain(ca.Server(t)), time.Now(), false},
		"expired":                   {chain(client), time.Now().Add(2 * time.Hour), false},
		"not valid yet":             {chain(client), time.Now().Add(-2 * time.Hour), false},
	} {
		if err := server.Verify(test.sent, test.at); (err == nil) != test.good {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func parseTLS(t *testing.T, clients *callertest.CA, pair callertest.Pair) *caller.TLS {
	t.Helper()
	parsed, err := caller.ParseTLS(pair.Certificate, pair.Key, clients.PEM)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}
