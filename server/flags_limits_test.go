package main

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
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
