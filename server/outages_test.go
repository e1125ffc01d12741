package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/caller/callertest"
	"github.com/chatidentity/chatidentity/server/internal/kustomer/standin"
)

// Every outage has one line when it begins and one when it ends, whether something fails, hangs, or
// merely becomes too old. The outages of the issuer's keys and of a Redis that dies stand in
// TestProofOfTheUser and TestRedisGone.
func TestOutagesAreAnnounced(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		part  string
		begin func(t *testing.T) (p *running, end func())
	}{
		"nobody reads the audit":                   {"audit", func(t *testing.T) (*running, func()) { return unreadAudit(t, "strict") }},
		"nobody reads the audit, best effort":      {"audit", func(t *testing.T) (*running, func()) { return unreadAudit(t, "best-effort") }},
		"the audit file's directory is gone":       {"audit", lostAuditDirectory},
		"a secret's file is missing":               {"secret", missingSecretFile},
		"a file of the configuration is missing":   {"configuration", missingTokensFile},
		"a secret is not refreshed for too long":   {"secret", staleSecret},
		"a first secret does not come":             {"secret", slowSecret},
		"our clock is wrong":                       {"clock", wrongClock},
		"redis hangs":                              {"limiter", hangingRedis},
		"the certificate of the listeners expires": {"certificate", expiredCertificate},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, end := test.begin(t)
			eventually(t, "begin of the outage", func() bool { return len(p.outages(test.part, "outage_began")) > 0 })
			end()
			p.assertOneOutage(t, test.part)
		})
	}
}

// outages returns the log's lines with that event of one part.
func (p *running) outages(part, event string) []string {
	var found []string
	for line := range strings.Lines(p.stderr.String()) {
		var entry struct{ Event, Part string }
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Event == event && entry.Part == part {
			found = append(found, line)
		}
	}
	return found
}

// assertOneOutage waits for the end of an outage, and wants one line for its begin and one for its end.
func (p *running) assertOneOutage(t *testing.T, part string) {
	t.Helper()
	eventually(t, "end of the outage", func() bool { return len(p.outages(part, "outage_ended")) > 0 })
	for _, event := range []string{"outage_began", "outage_ended"} {
		if lines := p.outages(part, event); len(lines) != 1 {
			t.Errorf("%d lines of %s for one outage of %s, want 1:\n%s", len(lines), event, part, p.stderr)
		}
	}
}

// unreadAudit has a reader of the records that stops, and later reads on.
func unreadAudit(t *testing.T, mode string) (*running, func()) {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reader.Close() })
	s := withSecret("--audit-mode", mode, "--audit-timeout", "200ms", "--limit-customer", "off", "--limit-caller", "off")
	s.stdout = writer
	p := start(t, s)
	writer.Close()
	client := p.client(t)
	ctx, stop := context.WithCancel(t.Context())
	go func() { // more records than the pipe holds
		for ctx.Err() == nil && len(p.outages("audit", "outage_began")) == 0 {
			_, _ = client.IssueToken(ctx, issueFor("user_id", ""))
		}
	}()
	return p, func() {
		stop()
		go func() { _, _ = io.Copy(io.Discard, reader) }()
	}
}

func lostAuditDirectory(t *testing.T) (*running, func()) {
	t.Helper()
	directory := filepath.Join(t.TempDir(), "audit")
	if err := os.Mkdir(directory, 0o700); err != nil {
		t.Fatal(err)
	}
	p := start(t, withSecret("--audit-file", filepath.Join(directory, "audit.jsonl")))
	move := func(from, to string) {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	move(directory, directory+".gone")
	if _, err := p.client(t).IssueToken(t.Context(), issueFor("user_id", "")); reason(err) != "AUDIT_UNAVAILABLE" {
		t.Errorf("without the directory: %v", err)
	}
	return p, func() { move(directory+".gone", directory) }
}

func missingSecretFile(t *testing.T) (*running, func()) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	return start(t, setup{args: []string{"--secret-file", path}}), func() {
		if err := os.WriteFile(path, []byte(testSecret), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func missingTokensFile(t *testing.T) (*running, func()) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tokens")
	_, line := newToken(t, "backend")
	return start(t, withSecret("--caller-tokens-file", path)), func() {
		if err := os.WriteFile(path, []byte(line+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func staleSecret(t *testing.T) (*running, func()) {
	t.Helper()
	vendor := standin.New(standin.Options{APIKey: canaryAPIKey, Secret: canarySecret})
	p, _ := startOnStandin(t, vendor, "--secret-refresh", "1s", "--secret-max-stale", "2s")
	eventually(t, "secret", func() bool { code, _ := p.get(t, "/readyz"); return code == 200 })
	vendor.SetBehaviour(standin.HangUp)
	return p, func() { vendor.SetBehaviour(standin.Normal) }
}

func slowSecret(t *testing.T) (*running, func()) {
	t.Helper()
	vendor := standin.New(standin.Options{APIKey: canaryAPIKey, Secret: canarySecret})
	vendor.SetBehaviour(standin.Slow)
	p, _ := startOnStandin(t, vendor, "--secret-refresh", "1s")
	return p, func() { vendor.SetBehaviour(standin.Normal) }
}

func wrongClock(t *testing.T) (*running, func()) {
	t.Helper()
	var ahead atomic.Int64
	ahead.Store(int64(time.Hour))
	vendor := standin.New(standin.Options{APIKey: canaryAPIKey, Secret: canarySecret, Now: func() time.Time {
		return time.Now().Add(time.Duration(ahead.Load()))
	}})
	p, _ := startOnStandin(t, vendor, "--secret-refresh", "1s")
	return p, func() { ahead.Store(0) }
}

func hangingRedis(t *testing.T) (*running, func()) {
	t.Helper()
	server := startRedis(t)
	p := start(t, replica(t, server.socket, limitKeyFile(t), "--limit-redis-timeout", "10ms"))
	p.awaitSharing(t)
	server.signal(syscall.SIGSTOP)
	client := p.client(t)
	eventually(t, "redis declared down", func() bool {
		_, _ = client.IssueToken(t.Context(), issueFor("user_id", ""))
		return p.metric(t, "chatidentity_ratelimit_redis_up") == 0
	})
	return p, func() { server.signal(syscall.SIGCONT) }
}

func expiredCertificate(t *testing.T) (*running, func()) {
	t.Helper()
	ca := callertest.NewCA(t)
	v := &volume{directory: t.TempDir()}
	show := func(expires time.Time) {
		pair := ca.Issue(t, func(template *x509.Certificate) {
			template.NotAfter = expires
			template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
			template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		})
		v.swap(t, map[string][]byte{"ca.crt": ca.PEM, "tls.crt": pair.Certificate, "tls.key": pair.Key})
	}
	show(time.Now().Add(-time.Minute))
	p := start(t, withSecret("--listen", "0.0.0.0:0",
		"--tls-cert", v.path("tls.crt"), "--tls-key", v.path("tls.key"), "--tls-client-ca", v.path("ca.crt")))
	return p, func() { show(time.Now().Add(time.Hour)) }
}

// Every line of the program log is JSON with an event.
func assertEvents(t *testing.T, log string) {
	t.Helper()
	for line := range bytes.Lines([]byte(log)) {
		var entry map[string]any
		if json.Unmarshal(line, &entry) == nil && entry["msg"] != nil && entry["event"] == nil {
			t.Errorf("a line without an event: %s", line)
		}
	}
}
