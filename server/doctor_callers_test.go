package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/doctor"
)

// withTLS makes a listener outside loopback, with a certificate that is good for
// so long.
func (p *patient) withTLS(t *testing.T, left time.Duration) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sidecar"}, DNSNames: []string{"sidecar"},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(left), IsCA: true, BasicConstraintsValid: true,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		return p.write(t, name, string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
	}
	p.flags["listen"] = "unix:" + p.path("s") + ",0.0.0.0:0"
	p.flags["tls-cert"], p.flags["tls-key"] = write("cert.pem", "CERTIFICATE", certificate), write("key.pem", "PRIVATE KEY", private)
	p.flags["tls-client-ca"] = p.flags["tls-cert"]
}

func (p *patient) withPolicy(t *testing.T, text string) {
	t.Helper()
	p.flags["policy-file"] = p.write(t, "policy.yaml", strings.ReplaceAll(text, "DIR", p.directory))
}

func (p *patient) withToken(t *testing.T) {
	t.Helper()
	p.flags["caller-tokens-file"] = p.write(t, "tokens", "shop sha256:"+strings.Repeat("0a", 32)+"\n")
}

const (
	shopPolicy   = "callers:\n  token:shop:\n    organizations: all\n"
	provenPolicy = "issuers:\n  login:\n    issuer: https://login.example\n    audience: shop\n    external_id: sub\n    jwks_url: URL\n" +
		"callers:\n  token:shop:\n    organizations: all\n    proof: login\n"
	twoOrganizations = "organizations:\n  acme:\n    secret_file: DIR/secret\n    identifiers: email\n  beta:\n    api_key_file: DIR/beta.key\n    api_url: URL\n" +
		"callers:\n  loopback:\n    organizations: all\n"
)

// callerSetUps are about who may call.
var callerSetUps = map[string]setUp{
	"all that can be configured for callers": {func(t *testing.T, p *patient) {
		p.withToken(t)
		p.withTLS(t, 30*24*time.Hour)
		p.withPolicy(t, strings.ReplaceAll(provenPolicy, "URL", startIssuer(t)))
	}, want{}},
	"no token file": {func(_ *testing.T, p *patient) { p.flags["caller-tokens-file"] = "/no/such" }, want{"caller tokens": {doctor.Failed, "--caller-tokens-file"}}},
	"a token in clear": {func(t *testing.T, p *patient) {
		p.flags["caller-tokens-file"] = p.write(t, "tokens", "shop canary-token\n")
	}, want{"caller tokens": {doctor.Failed, "--caller-tokens-file"}}},
	"a certificate that ends":  {func(t *testing.T, p *patient) { p.withTLS(t, time.Hour) }, want{"TLS": {doctor.Warning, "expires"}}},
	"a certificate that ended": {func(t *testing.T, p *patient) { p.withTLS(t, -time.Hour) }, want{"TLS": {doctor.Failed, "expired"}}},
	"another certificate's key": {func(t *testing.T, p *patient) {
		p.withTLS(t, time.Hour)
		first, err := os.ReadFile(p.flags["tls-key"])
		if err != nil {
			t.Fatal(err)
		}
		p.withTLS(t, time.Hour)
		p.write(t, "key.pem", string(first))
	}, want{"TLS": {doctor.Failed, "--tls-key"}}},
	"a policy without tokens": {func(t *testing.T, p *patient) { p.withPolicy(t, shopPolicy) }, want{"policy file": {doctor.Warning, "--caller-tokens-file"}}},
	"a policy without certificates": {func(t *testing.T, p *patient) {
		p.withPolicy(t, "callers:\n  certificate:shop:\n    organizations: all\n")
	}, want{"policy file": {doctor.Warning, "--tls-cert"}}},
	"a policy without the user": {func(t *testing.T, p *patient) { p.withPolicy(t, "callers:\n  uid:23456:\n    organizations: all\n") }, want{"policy file": {doctor.Warning, "--allow-uid 23456"}}},
	"an issuer that is away": {func(t *testing.T, p *patient) {
		p.withToken(t)
		p.withPolicy(t, strings.ReplaceAll(provenPolicy, "URL", "http://127.0.0.1:1/"))
	}, want{"ID tokens of login": {doctor.Failed, "jwks_url"}}},
	"an organization without its secret, and one without its key": {func(t *testing.T, p *patient) {
		p.env = nil
		p.withPolicy(t, strings.ReplaceAll(twoOrganizations, "URL", "http://127.0.0.1:1/"))
	}, want{
		"signing secret of acme": {doctor.Failed, "DIR/secret"}, "API key of beta": {doctor.Failed, "DIR/beta.key"},
	}},
	"one organization's API away": {func(t *testing.T, p *patient) {
		p.env = nil
		p.write(t, "secret", canarySecret)
		p.write(t, "beta.key", canaryAPIKey)
		p.withPolicy(t, strings.ReplaceAll(twoOrganizations, "URL", "http://127.0.0.1:1/"))
	}, want{"API of beta": {doctor.Failed, "connection refused"}}},
	"a directory as token file": {func(_ *testing.T, p *patient) { p.flags["caller-tokens-file"] = p.directory }, want{"caller tokens": {doctor.Failed, "not a regular file"}}},
	"no TLS file": {func(t *testing.T, p *patient) {
		p.withTLS(t, time.Hour)
		p.flags["tls-client-ca"] = "/no/such"
	}, want{"TLS": {doctor.Failed, "/no/such"}}},
	"a TLS key that every user can read": {func(t *testing.T, p *patient) {
		p.withTLS(t, 30*24*time.Hour)
		chmod(t, p.path("key.pem"), 0o644)
	}, want{"permissions of DIR/key.pem": {doctor.Warning, "can read"}}},
	"caller tokens that every user can change": {func(t *testing.T, p *patient) {
		p.withToken(t)
		chmod(t, p.path("tokens"), 0o646)
	}, want{"permissions of DIR/tokens": {doctor.Warning, "can change"}}},
	"no policy file":      {func(_ *testing.T, p *patient) { p.flags["policy-file"] = "/no/such" }, want{"policy file": {doctor.Failed, "--policy-file"}}},
	"a policy of nothing": {func(t *testing.T, p *patient) { p.withPolicy(t, "caller: {}\n") }, want{"policy file": {doctor.Failed, "--policy-file"}}},
}

// startIssuer returns the URL of an issuer's keys.
func startIssuer(t *testing.T) string {
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`))
	}))
	t.Cleanup(keys.Close)
	return keys.URL
}
