package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPolicyCheck(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "policy.yaml")
	text := `organizations:
  acme: {secret_env: ACME, identifiers: email}
issuers:
  login: {issuer: "https://login.example.com", audience: backend, jwks_url: "https://login.example.com/jwks", external_id: sub}
callers:
  loopback: {organizations: all, methods: [VerifyToken]}
  token:checkout: {organizations: [acme, other], limits: {caller: 5/s}, proof: login}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	nobody := file + ".nobody"
	if err := os.WriteFile(nobody, []byte("callers: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	bad := file + ".bad"
	if err := os.WriteFile(bad, []byte(strings.Replace(text, "proof: login", "proof: logon", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args []string
		code int
		want []string
	}{
		"all":                     {[]string{file, "--output", "text"}, 0, []string{"loopback is allowed: line 6", "token:checkout is allowed: line 7", "organization other"}},
		"a caller":                {[]string{file, "--caller", "token:checkout"}, 0, []string{`"limit":"5/s:5"`, `"max_age":"10m0s"`, `"organizations":["acme","other"]`}},
		"an organization":         {[]string{file, "--caller", "token:checkout", "--organization", "acme"}, 0, []string{`"identifiers":"email"`}},
		"methods":                 {[]string{file, "--caller", "loopback", "--output", "text"}, 0, []string{"methods        VerifyToken\n", "proof          none"}},
		"proof":                   {[]string{file, "--caller", "token:checkout", "--output", "text"}, 0, []string{`(external_id: "sub", email: none, so`}},
		"another organization":    {[]string{file, "--caller", "token:checkout", "--organization", "default"}, 1, []string{`"allowed":false`, "line 7", "default"}},
		"a caller not in it":      {[]string{file, "--caller", "uid:1000", "--output", "text"}, 1, []string{"uid:1000 is refused", "does not name it"}},
		"a caller that cannot be": {[]string{file, "--caller", "uid:root"}, 2, []string{"--caller", "uid:root"}},
		"nobody":                  {[]string{nobody, "--output", "text"}, 0, []string{"names no caller, so nobody may call"}},
		"nobody as JSON":          {[]string{nobody}, 0, []string{`{"callers":[]}`}},
		"nobody, a caller":        {[]string{nobody, "--caller", "loopback"}, 1, []string{`"allowed":false`}},
		"a wrong file":            {[]string{bad}, 2, []string{bad, "line 7, column", "logon"}},
		"no file":                 {[]string{"/no/such"}, 2, []string{"/no/such"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := command(t, nil, "", append([]string{"policy", "check"}, test.args...)...)
			if code != test.code {
				t.Errorf("exit code %d, want %d: %s", code, test.code, stderr)
			}
			for _, part := range test.want {
				if !strings.Contains(stdout+stderr, part) {
					t.Errorf("%q does not say %s", stdout+stderr, part)
				}
			}
		})
	}
}

// A bad change leaves the last good policy in force. It is logged once, with its line and column,
// and counted.
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
		{"organizations:\n  default: {secret_file: /x}\ncallers:\n  uid:1: {organizations: all}\n", "--organization default"},
		{"organizations:\n  more: {secret_env: NOT_SET_AT_START}\ncallers:\n  uid:1: {organizations: all}\n", "line 2, organization more: secret_env"},
	} {
		write(bad.text)
		eventually(t, "count", func() bool { return p.metric(t, failed) == float64(i+1) })
		eventually(t, bad.want+" in the log", func() bool { return strings.Contains(p.stderr.String(), bad.want) })
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

// Somebody writes the secret itself where its variable's name belongs: whatever it looks like,
// nothing repeats it.
func TestASecretInPlaceOfItsVariableIsNeverTold(t *testing.T) {
	t.Parallel()
	for name, pasted := range map[string]string{
		"as most secrets look":         "canary-0123456789-0123456789",
		"as a name in small letters":   "canary0123456789",
		"as a name in capital letters": "CANARY0123456789",
		"a name that is too long":      strings.Repeat("CANARY", 11),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "policy.yaml")
			text := "callers: {loopback: {organizations: all}}\norganizations:\n  acme: {secret_env: " + pasted + "}\n"
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			p := start(t, setup{args: []string{"--policy-file", file, "--log-level", "debug"}})
			code, ready := p.get(t, "/readyz")
			if code != 503 || !strings.Contains(ready, "secret_env") {
				t.Errorf("/readyz answers %d, %q", code, ready)
			}
			_, err := p.client(t).IssueToken(t.Context(), issueFor("user_id", ""))
			_, metrics := p.get(t, "/metrics")
			p.stop(t)
			told := []string{ready, metrics, said(err), p.stderr.String(), p.stdout.String()}
			for _, args := range [][]string{
				{"policy", "check", file}, {"doctor", "--policy-file", file}, {"serve", "--strict-start", "--policy-file", file},
			} {
				_, stdout, stderr := command(t, nil, "", args...)
				told = append(told, stdout, stderr)
			}
			if all := strings.ToLower(strings.Join(told, "\n")); strings.Contains(all, "canary") {
				t.Errorf("the secret is told:\n%s", all)
			}
		})
	}
}
