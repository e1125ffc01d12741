package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/caller/callertest"
)

func TestDevShowsATokenThatVerifies(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := command(t, []string{"KUSTOMER_SECRET_KEY=not-for-dev"}, "", "dev", "--exit")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	var shown struct {
		Secret, Token string
		Header        json.RawMessage
		Claims        map[string]any
		Login         struct{ By, Value string }
		AuditRecord   map[string]any `json:"audit_record"`
	}
	if err := json.Unmarshal([]byte(stdout), &shown); err != nil {
		t.Fatalf("%v: %s", err, stdout)
	}
	parts := strings.Split(shown.Token, ".")
	mac := hmac.New(sha256.New, []byte(shown.Secret))
	mac.Write([]byte(parts[0] + "." + parts[1]))
	if want := base64.RawURLEncoding.EncodeToString(mac.Sum(nil)); parts[2] != want {
		t.Error("the token does not verify under the secret that is shown")
	}
	if string(shown.Header) != `{"alg":"HS256","typ":"JWT"}` || parts[0] != base64.RawURLEncoding.EncodeToString(shown.Header) {
		t.Errorf("header %s", shown.Header)
	}
	if len(shown.Claims) != 2 || shown.Claims["externalId"] != "user_id" || shown.Claims["iat"] == nil {
		t.Errorf("claims %v, want externalId and iat alone", shown.Claims)
	}
	if shown.Login.By != "externalId" || shown.Login.Value != "user_id" {
		t.Errorf("the stand-in logs in %+v", shown.Login)
	}
	if shown.AuditRecord["event"] != "token.issue" || shown.AuditRecord["outcome"] != "OK" {
		t.Errorf("audit record %v", shown.AuditRecord)
	}
	if strings.Contains(stdout+stderr, "not-for-dev") {
		t.Error("dev used a real secret")
	}
}

func TestDevInWords(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := command(t, nil, "", "dev", "--exit", "--output", "text")
	if code != 0 || stderr != "" {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	for _, part := range []string{"worthless", `{"alg":"HS256","typ":"JWT"}`, `"externalId":"user_id"`, "by externalId", `"event":"token.issue"`} {
		if !strings.Contains(stdout, part) {
			t.Errorf("does not show %s:\n%s", part, stdout)
		}
	}
}

func TestClientCommands(t *testing.T) {
	t.Parallel()
	p := start(t, withSecret())
	at := []string{"--address", p.address}
	code, _, stderr := command(t, nil, "", append(at, "issue", "--external-id", "user_id", "--email", "ada@example.com")...)
	if code == 0 {
		t.Fatalf("flags before the command: %s", stderr)
	}
	code, token, stderr := command(t, nil, "", append([]string{"issue", "--external-id", "user_id", "--email", "ada@example.com"}, at...)...)
	if code != 0 || strings.Count(token, ".") != 2 || strings.Count(token, "\n") != 1 {
		t.Fatalf("issue off a terminal must print the bare token: code %d, %q, %s", code, token, stderr)
	}
	for name, test := range map[string]struct {
		stdin  string
		args   []string
		code   int
		stdout string
		stderr string
	}{
		"verify":                 {"", []string{"verify", strings.TrimSpace(token)}, 0, `"verdict":"accepted"`, ""},
		"verify standard input":  {token, []string{"verify", "-"}, 0, `"login_identifier":"email"`, ""},
		"verify in words":        {token, []string{"verify", "-", "--output", "text"}, 0, "Verdict      accepted", ""},
		"verify a broken one":    {"", []string{"verify", "x.y.z"}, 1, `"verdict":"malformed"`, ""},
		"verify says why":        {"", []string{"verify", "x.y.z", "--output", "text"}, 1, "Because      the header is not base64url of a JSON object", ""},
		"verify one too long":    {strings.Repeat("x", 5000), []string{"verify", "-"}, 1, "", "INVALID_TOKEN_SIZE"},
		"issue as JSON":          {"", []string{"issue", "--email", "b@example.com", "--output", "json"}, 0, `"login_identifier":"email"`, ""},
		"issue in words":         {"", []string{"issue", "--email", "c@example.com", "--output", "text"}, 0, "Log in by   email", ""},
		"issue for nobody":       {"", []string{"issue"}, 2, "", "--external-id"},
		"issue for a bad one":    {"", []string{"issue", "--email", "nobody"}, 1, "", "INVALID_ARGUMENT INVALID_CUSTOMER: customer.email"},
		"issue elsewhere":        {"", []string{"issue", "--external-id", "x", "--organization", "other"}, 1, "", "UNKNOWN_ORGANIZATION"},
		"health":                 {"", []string{"health"}, 0, `{"status":"SERVING"}`, ""},
		"health in words":        {"", []string{"health", "--output", "text"}, 0, "SERVING\n", ""},
		"timeout without sense":  {"", []string{"health", "--timeout", "0s"}, 2, "", "--timeout"},
		"that of the page too":   {"", []string{"health", "--admin-address", "127.0.0.1:1", "--timeout", "0s"}, 2, "", "--timeout"},
		"output without meaning": {"", []string{"health", "--output", "xml"}, 2, "", "--output"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := command(t, nil, test.stdin, append(test.args, at...)...)
			if code != test.code || !strings.Contains(stdout, test.stdout) || !strings.Contains(stderr, test.stderr) {
				t.Errorf("code %d, output %q, error %q; want %d, %q, %q", code, stdout, stderr, test.code, test.stdout, test.stderr)
			}
			if strings.Count(stderr, "\n") > 1 {
				t.Errorf("more than one line: %s", stderr)
			}
		})
	}
}

func TestNobodyListens(t *testing.T) {
	t.Parallel()
	code, _, stderr := command(t, nil, "", "health", "--address", "127.0.0.1:1")
	if code != 1 || !strings.Contains(stderr, "127.0.0.1:1") || !strings.Contains(stderr, "UNAVAILABLE") {
		t.Errorf("code %d, error %q", code, stderr)
	}
}

// The client commands call a listener outside loopback with a certificate.
func TestClientCommandsOverTLS(t *testing.T) {
	t.Parallel()
	ca := callertest.NewCA(t)
	server, client := ca.Server(t), ca.Client(t, spiffeID)
	v := &volume{directory: t.TempDir()}
	v.swap(t, map[string][]byte{
		"ca.crt": ca.PEM, "tls.crt": server.Certificate, "tls.key": server.Key, "client.crt": client.Certificate, "client.key": client.Key,
		"other.crt": callertest.NewCA(t).PEM, "empty": {},
	})
	p := start(t, withSecret("--listen", "0.0.0.0:0",
		"--tls-cert", v.path("tls.crt"), "--tls-key", v.path("tls.key"), "--tls-client-ca", v.path("ca.crt")))
	with := func(ca, certificate string) []string {
		return []string{"--server-ca", v.path(ca), "--client-cert", v.path(certificate), "--client-key", v.path("client.key")}
	}
	for name, test := range map[string]struct {
		args []string
		code int
		says string
	}{
		"all of it":            {with("ca.crt", "client.crt"), 0, "SERVING"},
		"none of it":           {nil, 1, "UNAVAILABLE"},
		"at --admin-address":   {[]string{"--admin-address", p.outside(t)}, 1, "it is --listen with TLS"},
		"without the key":      {with("ca.crt", "client.crt")[:4], 2, "--server-ca, --client-cert and --client-key"},
		"the name alone":       {[]string{"--server-name", "localhost"}, 2, "--server-ca, --client-cert and --client-key"},
		"another CA":           {with("other.crt", "client.crt"), 1, "certificate signed by unknown authority"},
		"another name":         {append(with("ca.crt", "client.crt"), "--server-name", "elsewhere"), 1, "elsewhere"},
		"a CA without one":     {with("empty", "client.crt"), 2, "--server-ca"},
		"no CA file":           {with("nowhere", "client.crt"), 2, "--server-ca"},
		"a CA without end":     {[]string{"--server-ca", "/dev/zero", "--client-cert", "x", "--client-key", "x"}, 2, "--server-ca: /dev/zero: not a regular file"},
		"a key of another":     {with("ca.crt", "tls.crt"), 2, "--client-cert and --client-key"},
		"no certificate there": {with("ca.crt", "nowhere"), 2, "--client-cert and --client-key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := command(t, nil, "", append([]string{"health", "--address", p.outside(t)}, test.args...)...)
			if code != test.code || !strings.Contains(stdout+stderr, test.says) || strings.Count(stdout+stderr, "\n") != 1 {
				t.Errorf("code %d, want %d; says %q, want %q", code, test.code, stdout+stderr, test.says)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"version", "--version"} {
		if code, stdout, _ := command(t, nil, "", name, "--output", "text"); code != 0 || !strings.HasPrefix(stdout, "chatidentity ") {
			t.Errorf("%s: code %d, output %q", name, code, stdout)
		}
	}
	_, stdout, _ := command(t, nil, "", "version", "--json")
	var answer versionAnswer
	if err := json.Unmarshal([]byte(stdout), &answer); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(answer.Modules, func(m moduleAnswer) bool {
		return m.Path == "google.golang.org/grpc" && m.Version != "" && m.Sum != ""
	}) {
		t.Errorf("the modules do not name grpc: %s", stdout)
	}
}

// Each wrong value is one line that names the flag and what to do, and exit
// code 2.
func TestWrongConfigurationIsOneLineThatNamesTheFlag(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	empty := filepath.Join(directory, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	secret := []string{"KUSTOMER_SECRET_KEY=" + testSecret}
	for name, test := range map[string]struct {
		env  []string
		args []string
		want []string
	}{
		"no source":              {nil, nil, []string{"--secret-file", "KUSTOMER_SECRET_KEY", "dev"}},
		"two sources":            {secret, []string{"--secret-file", empty}, []string{"--secret-file", "KUSTOMER_SECRET_KEY", "one"}},
		"an empty secret":        {[]string{"KUSTOMER_SECRET_KEY="}, nil, []string{"KUSTOMER_SECRET_KEY is empty"}},
		"no organization":        {[]string{"KUSTOMER_API_KEY=k"}, nil, []string{"--organization", "--api-url"}},
		"a host without .api":    {[]string{"KUSTOMER_API_KEY=k"}, []string{"--api-url", "https://acme.kustomerapp.com"}, []string{"--api-url", "acme.api.kustomerapp.com"}},
		"http to a far host":     {[]string{"KUSTOMER_API_KEY=k"}, []string{"--api-url", "http://example.com"}, []string{"--api-url", "https"}},
		"a far listener":         {secret, []string{"--listen", "0.0.0.0:1234"}, []string{"--listen 0.0.0.0:1234", "loopback"}},
		"a named listener":       {secret, []string{"--listen", "example.com:1234"}, []string{"--listen example.com:1234", "loopback"}},
		"no port":                {secret, []string{"--listen", "127.0.0.1"}, []string{"--listen", "host:port"}},
		"a relative socket":      {secret, []string{"--listen", "unix:here"}, []string{"--listen", "absolute"}},
		"nobody may call":        {secret, []string{"--listen", "unix:/tmp/x"}, []string{"--listen", "--allow-uid"}},
		"no such directory":      {secret, []string{"--listen", "unix:/no/such/x", "--allow-uid", "1"}, []string{"--listen unix:/no/such/x"}},
		"the overflow uid":       {secret, []string{"--allow-uid", "65534"}, []string{"--allow-uid 65534"}},
		"a policy":               {secret, []string{"--identifier-policy", "both"}, []string{"--identifier-policy", "as-given, external-id, email, exclusive"}},
		"a rate":                 {secret, []string{"--limit-customer", "ten"}, []string{"--limit-customer", "N/s|m|h[:BURST] or off"}},
		"a rate in the env":      {append([]string{"CHATIDENTITY_LIMIT_CALLER=5"}, secret...), nil, []string{"--limit-caller", "CHATIDENTITY_LIMIT_CALLER"}},
		"a limit mode":           {secret, []string{"--limit-mode", "off"}, []string{"--limit-mode", "enforce, shadow"}},
		"an audit mode":          {secret, []string{"--audit-mode", "lax"}, []string{"--audit-mode", "strict, best-effort"}},
		"an audit file":          {secret, []string{"--audit-file", "/no/such/file"}, []string{"--audit-file", "/no/such"}},
		"an audit key":           {secret, []string{"--audit-key-file", empty}, []string{"--audit-key-file"}},
		"an audit timeout":       {secret, []string{"--audit-timeout", "0s"}, []string{"--audit-timeout"}},
		"a size":                 {secret, []string{"--audit-max-size", "big"}, []string{"--audit-max-size", "100MiB"}},
		"a refresh too quick":    {[]string{"KUSTOMER_API_KEY=k"}, []string{"--organization", "x", "--secret-refresh", "1ms"}, []string{"--secret-refresh", "1s"}},
		"a skew":                 {secret, []string{"--max-clock-skew", "1h"}, []string{"--max-clock-skew"}},
		"a drain timeout":        {secret, []string{"--drain-timeout", "-1s"}, []string{"--drain-timeout"}},
		"a socket mode":          {secret, []string{"--socket-mode", "rw"}, []string{"--socket-mode", "0660"}},
		"a log level":            {secret, []string{"--log-level", "loud"}, []string{"--log-level"}},
		"a log format":           {secret, []string{"--log-format", "xml"}, []string{"--log-format", "json, text"}},
		"profiles for others":    {secret, []string{"--profile-listen", "0.0.0.0:0"}, []string{"--profile-listen", "loopback"}},
		"profiles on a socket":   {secret, []string{"--profile-listen", "unix:/tmp/x"}, []string{"--profile-listen", "loopback"}},
		"an admin unix socket":   {secret, []string{"--admin-listen", "unix:/tmp/x"}, []string{"--admin-listen"}},
		"an unknown flag":        {secret, []string{"--verbose"}, []string{"--verbose"}},
		"the same address twice": {secret, []string{"--listen", "127.0.0.1:1,127.0.0.1:1"}, []string{"--listen", "twice"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"serve", "--strict-start", "--admin-listen", "127.0.0.1:0"}, test.args...)
			if !slices.Contains(args, "--listen") {
				args = append(args, "--listen", "127.0.0.1:0")
			}
			code, stdout, stderr := command(t, test.env, "", args...)
			if code != 2 || stdout != "" {
				t.Errorf("exit code %d, output %q", code, stdout)
			}
			lines := strings.Split(strings.TrimSpace(stderr), "\n")
			last := lines[len(lines)-1]
			for _, part := range test.want {
				if !strings.Contains(last, part) {
					t.Errorf("%q does not name %s", last, part)
				}
			}
			for _, line := range lines[:len(lines)-1] {
				if !strings.HasPrefix(line, "{") {
					t.Errorf("more than one line: %s", stderr)
				}
			}
		})
	}
}

func TestEveryCommandHasHelpWithAnExample(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"serve", "dev", "issue", "verify", "health", "audit verify", "audit find", "secret fetch", "doctor", "policy check", "caller-token", "version"} {
		code, stdout, _ := command(t, nil, "", append(strings.Fields(name), "--help")...)
		if code != 0 || !strings.Contains(stdout, "Example") || !strings.Contains(stdout, "chatidentity "+name) {
			t.Errorf("%s --help: code %d\n%s", name, code, stdout)
		}
	}
	if _, stdout, _ := command(t, nil, "", "issue", "--help"); !strings.Contains(strings.Join(strings.Fields(stdout), " "), "(default 127.0.0.1:9451, $CHATIDENTITY_ADDRESS)") {
		t.Errorf("help tells neither the default nor the variable:\n%s", stdout)
	}
	for _, args := range [][]string{nil, {"help"}, {"--help"}} {
		if code, stdout, _ := command(t, nil, "", args...); code != 0 || !strings.Contains(stdout, "Commands:") {
			t.Errorf("%v: code %d\n%s", args, code, stdout)
		}
	}
	if code, stdout, _ := command(t, nil, "", "help", "audit", "find"); code != 0 || !strings.Contains(stdout, "chatidentity audit find") {
		t.Errorf("help audit find: code %d\n%s", code, stdout)
	}
}

// What a server says does not steer the terminal.
func TestPrintable(t *testing.T) {
	t.Parallel()
	if got := printable("a\x1b]0;b\x07\nc\u0085é\u202e"); got != "a\ufffd]0;b\ufffd\ufffdc\ufffdé\ufffd" {
		t.Errorf("%q", got)
	}
}

func TestACallerTokenFileHoldsTheTokenAlone(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{"token":"x","line":"shop sha256:00"}`, "shop sha256:00"} {
		path := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		code, _, stderr := command(t, nil, "", "health", "--caller-token-file", path)
		if code != 2 || !strings.Contains(stderr, "--caller-token-file "+path+": it must hold the token alone") {
			t.Errorf("%s: code %d, error %q", text, code, stderr)
		}
	}
}
