package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"

	"github.com/chatidentity/chatidentity/server/internal/caller/callertest"
	"github.com/chatidentity/chatidentity/server/internal/freeport"
)

func callsShareTheGlobalLimit(t *testing.T)    { limitRefuses(t, "global", "ada", "bob") }
func callsShareTheCallersLimit(t *testing.T)   { limitRefuses(t, "caller", "ada", "bob") }
func callsShareTheCustomersLimit(t *testing.T) { limitRefuses(t, "customer", "ada", "ada") }

// limitRefuses demands that the limit admits one call and refuses the second.
func limitRefuses(t *testing.T, limit, first, second string) {
	t.Helper()
	t.Parallel()
	p := start(t, withSecret(append(unlimited, "--limit-"+limit, "1/h")...))
	if _, err := p.issue(t, issueFor(first, "")); err != nil {
		t.Error(err)
	}
	_, err := p.issue(t, issueFor(second, ""))
	quota := detail[*errdetails.QuotaFailure](err).GetViolations()
	if reason(err) != "RATE_LIMITED" || len(quota) != 1 || quota[0].GetSubject() != limit {
		t.Errorf("the second call: %v, refused by %v", err, quota)
	}
}

func shadowLimitsRefuseNothing(t *testing.T) {
	t.Parallel()
	p := start(t, withSecret("--limit-mode", "shadow", "--limit-customer", "1/h"))
	p.mustIssue(t)
	p.mustIssue(t)
}

func redisHoldsTheBudgets(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	if err := server.ConfigSet(t.Context(), "requirepass", canaryPassword).Err(); err != nil {
		t.Fatal(err)
	}
	p := start(t, replica(t, server.socket, limitKeyFile(t), "--limit-redis-timeout", "10s",
		"--limit-redis-password-file", writeFile(t, canaryPassword), "--limit-redis-prefix", "acme"))
	p.awaitSharing(t)
	p.mustIssue(t)
	keys, err := server.Keys(t.Context(), "*").Result()
	if err != nil || len(keys) != 1 || !strings.HasPrefix(keys[0], "acme:") {
		t.Errorf("keys %q, error %v", keys, err)
	}
}

// Redis asks for a client certificate, and has one that only the given CA signed.
func redisWantsAClientCertificate(t *testing.T) {
	t.Parallel()
	ca := callertest.NewCA(t)
	server, client := ca.Server(t), ca.Client(t, spiffeID)
	trusted, port := writeFile(t, string(ca.PEM)), freeport.Get(t)
	startRedis(t, "--tls-port", port, "--tls-ca-cert-file", trusted,
		"--tls-cert-file", writeFile(t, string(server.Certificate)), "--tls-key-file", writeFile(t, string(server.Key)))
	cert, key := writeFile(t, string(client.Certificate)), writeFile(t, string(client.Key))
	for how, args := range map[string][]string{
		"all three":            {"--limit-redis-ca", trusted, "--limit-redis-cert", cert, "--limit-redis-key", key},
		"no CA":                {"--limit-redis-cert", cert, "--limit-redis-key", key},
		"no certificate":       {"--limit-redis-ca", trusted},
		"a CA that comes late": {"--limit-redis-ca", filepath.Join(t.TempDir(), "late"), "--limit-redis-cert", cert, "--limit-redis-key", key},
	} {
		args = append(args, "--limit-redis", "rediss://127.0.0.1:"+port, "--limit-redis-timeout", "10s")
		p := start(t, replica(t, "", limitKeyFile(t), args...))
		switch how {
		case "all three":
			p.awaitSharing(t)
		case "no CA":
			eventually(t, "advice", func() bool { return strings.Contains(p.stderr.String(), "give the CA that signed it") })
		case "no certificate":
			eventually(t, "advice", func() bool { return strings.Contains(p.stderr.String(), "client certificate") })
		default:
			eventually(t, "cause", func() bool { return strings.Contains(p.stderr.String(), "the TLS files cannot be read") })
			if err := os.WriteFile(args[1], ca.PEM, 0o600); err != nil {
				t.Fatal(err)
			}
			p.awaitSharing(t)
		}
	}
}

// awaitSharing returns once Redis has answered.
func (p *running) awaitSharing(t *testing.T) {
	t.Helper()
	eventually(t, "sharing", func() bool { return p.metric(t, "chatidentity_ratelimit_redis_up") == 1 })
}

// Redis pauses for longer than the default timeout: its answer counts all the same.
func aSlowRedisIsWaitedFor(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	p := start(t, replica(t, server.socket, limitKeyFile(t), "--limit-redis-timeout", "10s"))
	p.awaitSharing(t)
	if err := server.ClientPause(t.Context(), 300*time.Millisecond).Err(); err != nil {
		t.Fatal(err)
	}
	p.mustIssue(t)
	if n := p.metric(t, `chatidentity_ratelimit_redis_decisions_without_total{why="fallback"}`); n != 0 {
		t.Errorf("%v decisions did not wait", n)
	}
}

func callsAreRefusedWithoutRedis(t *testing.T) {
	t.Parallel()
	p := start(t, replica(t, "/nonexistent/socket", limitKeyFile(t), "--limit-redis-failure", "closed"))
	if _, err := p.issue(t, issueFor("user_id", "")); reason(err) != "LIMITER_UNAVAILABLE" {
		t.Errorf("error %v", err)
	}
}
