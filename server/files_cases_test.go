package main

import (
	"context"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc/credentials/insecure"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/caller/callertest"
)

const notConfigured = "NOT_CONFIGURED"

var flagsSecret = []string{"KUSTOMER_SECRET_KEY=" + testSecret}

// fileCases are the files without which nobody is let in.
var fileCases = map[string]func(*testing.T) *fileCase{
	"policy": func(t *testing.T) *fileCase {
		t.Helper()
		c := contentCase(t, "--policy-file", "policy",
			"callers: {loopback: {organizations: all, methods: [IssueToken]}}\n", "callers: {loopback: {organisations: all}}\n")
		c.stranger = func(t *testing.T, p *running) error {
			t.Helper()
			_, err := p.client(t).VerifyToken(soon(t), &pb.VerifyTokenRequest{Token: "x"})
			return err
		}
		return c
	},
	"policy with the organizations": func(t *testing.T) *fileCase {
		t.Helper()
		c := contentCase(t, "--policy-file", "policy", "organizations: {acme: {secret_file: '"+writeFile(t, testSecret)+"'}}\n"+
			"callers: {loopback: {organizations: [acme]}}\n", "organizations: {}\n")
		c.env = nil
		c.app = func(t *testing.T, p *running) error {
			t.Helper()
			request := issueFor("user_id", "")
			request.Organization = "acme"
			_, err := p.client(t).IssueToken(soon(t), request)
			return err
		}
		c.stranger = anyApp // to the default organization, which is not there
		return c
	},
	"caller tokens": func(t *testing.T) *fileCase {
		t.Helper()
		token, line := newToken(t, "shop")
		c := contentCase(t, "--caller-tokens-file", "caller_tokens", line+"\n", "shop "+token+"\n")
		c.app = func(t *testing.T, p *running) error {
			t.Helper()
			_, err := p.client(t).IssueToken(withToken(soon(t), token), issueFor("user_id", ""))
			return err
		}
		c.stranger = anyApp
		return c
	},
	"TLS": func(t *testing.T) *fileCase {
		t.Helper()
		ca, other := callertest.NewCA(t), callertest.NewCA(t)
		pair := ca.Server(t)
		c := contentCase(t, "--tls-cert", "tls", string(pair.Certificate), string(other.Server(t).Certificate))
		c.args = append(c.args, "--listen", "0.0.0.0:0", "--tls-key", writeFile(t, string(pair.Key)), "--tls-client-ca", writeFile(t, string(ca.PEM)))
		c.app = func(t *testing.T, p *running) error {
			t.Helper()
			return issueOver(soon(t), p.outside(t), clientTLS(t, ca, ca), issueFor("user_id", ""))
		}
		c.stranger = func(t *testing.T, p *running) error {
			t.Helper()
			plain := issueOver(soon(t), p.outside(t), insecure.NewCredentials(), issueFor("user_id", ""))
			foreign := issueOver(soon(t), p.outside(t), clientTLS(t, ca, other), issueFor("user_id", ""))
			if plain == nil || foreign == nil {
				return nil
			}
			return errors.Join(plain, foreign)
		}
		c.meanwhile = ""
		return c
	},
	"audit keys": func(t *testing.T) *fileCase {
		t.Helper()
		return contentCase(t, "--audit-key-file", "audit_keys", auditKey(), "c2hvcnQ=\n")
	},
	"Redis password": func(t *testing.T) *fileCase {
		t.Helper()
		server := startRedis(t)
		if err := server.ConfigSet(t.Context(), "requirepass", canaryPassword).Err(); err != nil {
			t.Fatal(err)
		}
		c := contentCase(t, "--limit-redis-password-file", "redis_password", canaryPassword+"\n", "\n")
		c.args = append(c.args, "--limit-redis", "unix://"+server.socket, "--limit-redis-timeout", "5s", "--audit-key-file", writeFile(t, auditKey()))
		return c
	},
	"keys of an issuer": keysCase,
	"audit file":        auditFileCase,
}

// contentCase is a file of a single content, over loopback, with the secret from the flags.
func contentCase(t *testing.T, flag, kind, good, bad string) *fileCase {
	t.Helper()
	directory := filepath.Join(t.TempDir(), "volume")
	if err := os.Mkdir(directory, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(directory, "file")
	return &fileCase{
		flag: flag, kind: kind, args: []string{flag, path}, env: flagsSecret,
		faults: contentFaults(path, good, bad),
		spoil:  func(t *testing.T) { t.Helper(); put(t, path, bad) },
		mend:   func(t *testing.T) { t.Helper(); put(t, path, good) },
		app:    anyApp, meanwhile: notConfigured,
	}
}

// auditFileCase is about the place of the records.
func auditFileCase(t *testing.T) *fileCase {
	t.Helper()
	directory := filepath.Join(t.TempDir(), "volume")
	makeDirectory := func(t *testing.T) {
		t.Helper()
		if err := os.Mkdir(directory, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(directory, "audit.jsonl")
	c := &fileCase{flag: "--audit-file", args: []string{"--audit-file", path}, env: flagsSecret, app: anyApp, meanwhile: notConfigured}
	var other *running
	c.faults = map[string]fault{
		"missing directory": {breaks: func(*testing.T) {}, mend: makeDirectory},
		"late directory":    {breaks: func(*testing.T) {}, mend: func(t *testing.T) { t.Helper(); wait10sInProofs(t); makeDirectory(t) }},
		"malformed": {
			breaks: func(t *testing.T) { t.Helper(); makeDirectory(t); put(t, path, "notes\n") },
			mend:   func(t *testing.T) { t.Helper(); move(t, path, path+".notes") },
		},
		"unreadable": {
			wrap: []string{"setpriv", "--bounding-set=-dac_override,-dac_read_search"},
			breaks: func(t *testing.T) {
				t.Helper()
				needs(t, "setpriv, as root,", os.Getuid() == 0)
				makeDirectory(t)
				chmod(t, directory, 0o500)
			},
			mend: func(t *testing.T) { t.Helper(); chmod(t, directory, 0o700) },
		},
		"held by another": {
			breaks: func(t *testing.T) { t.Helper(); makeDirectory(t); other = start(t, withSecret(c.args...)) },
			mend:   func(t *testing.T) { t.Helper(); other.stop(t) },
		},
	}
	return c
}

func auditKey() string { return base64.StdEncoding.EncodeToString(make([]byte, 32)) + "\n" }

// anyApp asks for a token over loopback.
func anyApp(t *testing.T, p *running) error {
	t.Helper()
	_, err := p.client(t).IssueToken(soon(t), issueFor("user_id", ""))
	return err
}

// soon bounds one call.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}
