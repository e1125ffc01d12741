package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/caller/callertest"
)

// Each mistake in what says who may call is one line that names the flag, and exit code 2.
func TestWrongConfigurationOfCallers(t *testing.T) {
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
		"a variable that is not set":                    {policy("variable", "organizations: {acme: {secret_env: NO_SUCH_VARIABLE}}\n"+callers), []string{"organization acme: secret_env"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := []string{"KUSTOMER_SECRET_KEY=" + testSecret}
			if noSecret[name] {
				env = nil
			}
			code, stdout, stderr := command(t, env, "", append([]string{"serve", "--strict-start"}, test.args...)...)
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
