package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const sharedReplicas = 8

// Eight sidecars under load spend one budget: burst + rate × t by Redis' clock,
// whatever they ask.
func TestEightReplicasSpendOneBudget(t *testing.T) {
	t.Parallel()
	server, key := startRedis(t), limitKeyFile(t)
	setups := make([]setup, sharedReplicas)
	replicas := make([]*running, sharedReplicas)
	for i := range replicas {
		// A decision that gives up would be one that the budget does not count.
		setups[i] = replica(t, server.socket, key, "--limit-global", "50/s:100", "--limit-customer", "50/s:20",
			"--limit-redis-timeout", "10s", "--limit-redis-failure", "closed")
		replicas[i] = start(t, setups[i])
		replicas[i].awaitSharing(t)
	}
	admitted := 0
	for _, test := range []struct {
		limit       string
		burst, rate float64
		customer    func(n int64) string
	}{
		{"customer", 20, 50, func(int64) string { return "everyone-the-same" }},
		{"global", 100, 50, func(n int64) string { return fmt.Sprintf("user_%d", n) }},
	} {
		length := time.Duration(rounds(1, 5, 60)) * time.Second
		before := server.now()
		passed, refused := spend(t, replicas, length, test.limit, test.customer)
		budget := test.burst + test.rate*server.now().Sub(before).Seconds()
		t.Logf("%s: %d passed, %.2f %% of the budget of %.1f; %d were refused", test.limit, passed, 100*float64(passed)/budget, budget, refused)
		// How much of what is earned meanwhile is used depends on the machine. The burst passes on any, and
		// no more than the budget does.
		if float64(passed) > budget || float64(passed) < test.burst || refused == 0 {
			t.Errorf("%s: %d passed and %d were refused, want some to be refused and from %.0f to %.1f to pass",
				test.limit, passed, refused, test.burst, budget)
		}
		admitted += passed
	}
	recorded := 0
	for i, p := range replicas {
		if code := p.stop(t); code != 0 {
			t.Errorf("exit code %d\n%s", code, p.stderr)
		}
		for _, record := range records(t, setups[i].auditFile()) {
			if record["event"] == "token.issue" && record["outcome"] == "OK" {
				recorded++
			}
		}
	}
	if recorded != admitted {
		t.Errorf("%d tokens are recorded, %d were received", recorded, admitted)
	}
}

// spend has all replicas asked for tokens, by two callers each.
func spend(t *testing.T, replicas []*running, length time.Duration, limit string, customer func(int64) string) (passed, refused int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	var calls, ok, exhausted atomic.Int64
	var running sync.WaitGroup
	for i := range 2 * len(replicas) {
		client := replicas[i/2].client(t)
		running.Go(func() {
			for ctx.Err() == nil {
				_, err := client.IssueToken(t.Context(), issueFor(customer(calls.Add(1)), ""))
				quota := detail[*errdetails.QuotaFailure](err).GetViolations()
				switch {
				case err == nil:
					ok.Add(1)
				case reason(err) == "RATE_LIMITED" && len(quota) == 1 && quota[0].GetSubject() == limit:
					exhausted.Add(1)
				default:
					t.Error(err)
					return
				}
			}
		})
	}
	running.Wait()
	return int(ok.Load()), int(exhausted.Load())
}

// A replica that starts gets no fresh burst, spellings of an address are one
// person, and nothing of that person ever goes to Redis.
func TestReplicasShareAndRedisKnowsNobody(t *testing.T) {
	t.Parallel()
	server, key := startRedis(t), limitKeyFile(t)
	wire := server.monitor()
	first := start(t, replica(t, server.socket, key, "--limit-customer", "3/h", "--limit-redis-timeout", "10s")).client(t)
	for n := range 3 {
		if _, err := first.IssueToken(t.Context(), issueFor("canary-id", "Canary@example.com")); err != nil {
			t.Fatalf("call %d: %v", n, err)
		}
	}
	second := start(t, replica(t, server.socket, key, "--limit-customer", "3/h", "--limit-redis-timeout", "10s"))
	_, err := second.client(t).IssueToken(t.Context(), issueFor("canary-id", "cANARY@example.com"))
	if wait := detail[*errdetails.RetryInfo](err).GetRetryDelay().AsDuration(); reason(err) != "RATE_LIMITED" || wait <= 0 || wait > 20*time.Minute {
		t.Errorf("the second replica answers %v, retry after %v", err, wait)
	}
	holds := server.dump()
	if !strings.Contains(holds, ":customer:") {
		t.Fatalf("no customer's budget in Redis:\n%s", holds)
	}
	eventually(t, "all four decisions on the wire", func() bool { return strings.Count(wire.String(), ":customer:") >= 4 })
	for _, canary := range []string{"canary", "example.com", testSecret} {
		if all := strings.ToLower(holds + wire.String()); strings.Contains(all, canary) {
			t.Errorf("%q came to Redis:\n%s", canary, all)
		}
	}
}

// While Redis is gone: the pod's own limits without a fresh burst, or
// LIMITER_UNAVAILABLE. Ready all the same, and sharing resumes by itself.
func TestRedisGone(t *testing.T) {
	t.Parallel()
	for policy, test := range map[string]struct {
		during []string // the reasons of three calls for a customer who has two left
		after  []string // of two more
	}{
		"local":  {[]string{"", "", "RATE_LIMITED"}, []string{"RATE_LIMITED", "RATE_LIMITED"}},
		"closed": {[]string{"LIMITER_UNAVAILABLE", "LIMITER_UNAVAILABLE", "LIMITER_UNAVAILABLE"}, []string{"", ""}},
	} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			server := startRedis(t)
			p := start(t, replica(t, server.socket, limitKeyFile(t), "--limit-customer", "3/h", "--limit-redis-failure", policy, "--limit-redis-timeout", "5s"))
			client := p.client(t)
			expect := func(when string, reasons ...string) {
				t.Helper()
				for n, want := range reasons {
					if _, err := client.IssueToken(t.Context(), issueFor("user_id", "")); (err == nil) != (want == "") || reason(err) != want {
						t.Errorf("%s, call %d: %v, want %q", when, n, err, want)
					}
				}
			}
			up := func() bool { return p.metric(t, "chatidentity_ratelimit_redis_up") == 1 }
			eventually(t, "sharing", up)
			expect("with redis", "")
			server.kill()
			expect("without", test.during...)
			eventually(t, "redis declared down", func() bool { // by other calls too
				_, _ = client.IssueToken(t.Context(), issueFor("other", ""))
				return !up()
			})
			if code, body := p.get(t, "/readyz"); code != 200 {
				t.Errorf("ready: %d %s", code, body)
			}
			server.start()
			eventually(t, "sharing again", up)
			expect("with redis again", test.after...)
			p.assertOneOutage(t, "limiter")
			for to, want := range map[string]float64{"up": 2, "down": 1} {
				if n := p.metric(t, `chatidentity_ratelimit_redis_changes_total{to="`+to+`"}`); n != want {
					t.Errorf("%v changes to %s, want %v", n, to, want)
				}
			}
		})
	}
}

// Not ready while it is not known whether Redis answers; ready once it has, or
// once it was declared down.
func TestReadyOnceRedisIsKnown(t *testing.T) {
	t.Parallel()
	t.Run("answers late", func(t *testing.T) {
		t.Parallel()
		server := startRedis(t)
		server.signal(syscall.SIGSTOP)
		p := start(t, replica(t, server.socket, limitKeyFile(t), "--limit-redis-timeout", "10s"))
		code, body := p.get(t, "/readyz")
		server.signal(syscall.SIGCONT)
		if code != 503 || !strings.HasPrefix(body, "limiter: ") {
			t.Errorf("before: %d %s", code, body)
		}
		eventually(t, "readiness", func() bool { code, _ := p.get(t, "/readyz"); return code == 200 })
		if p.metric(t, "chatidentity_ratelimit_redis_up") != 1 {
			t.Error("ready, but Redis is down")
		}
	})
	t.Run("nobody there", func(t *testing.T) {
		t.Parallel()
		p := start(t, replica(t, "/nonexistent/socket", limitKeyFile(t)))
		eventually(t, "readiness", func() bool { code, _ := p.get(t, "/readyz"); return code == 200 })
		if n := p.metric(t, `chatidentity_ratelimit_redis_changes_total{to="down"}`); n != 1 {
			t.Errorf("ready after %v changes to down, want 1", n)
		}
		if _, err := p.client(t).IssueToken(t.Context(), issueFor("user_id", "")); err != nil {
			t.Error(err)
		}
	})
}

// Shadow mode refuses nothing, and says in record and metric what it would have
// refused.
func TestShadowLimits(t *testing.T) {
	t.Parallel()
	alone := withSecret("--audit-file", filepath.Join(t.TempDir(), "audit.jsonl"), "--audit-sync", "off")
	shared := replica(t, startRedis(t).socket, limitKeyFile(t))
	for name, s := range map[string]setup{"alone": alone, "shared": shared} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s.args = append(s.args, "--limit-mode", "shadow", "--limit-customer", "2/h")
			p := start(t, s)
			client := p.client(t)
			for n := range 5 {
				if reply, err := client.IssueToken(t.Context(), issueFor("user_id", "")); err != nil || reply.GetToken() == "" {
					t.Errorf("call %d: %v", n, err)
				}
			}
			var limits []any
			for _, record := range records(t, s.auditFile()) {
				if record["event"] == "token.issue" {
					limits = append(limits, record["limit"])
				}
			}
			want := []any{nil, nil, "shadow:customer", "shadow:customer", "shadow:customer"}
			if fmt.Sprint(limits) != fmt.Sprint(want) {
				t.Errorf("limits recorded %v, want %v", limits, want)
			}
			if n := p.metric(t, `chatidentity_limited_total{limit="customer",mode="shadow"}`); n != 3 {
				t.Errorf("%v counted, want 3", n)
			}
		})
	}
}

// The published retry policy tries again what is UNAVAILABLE, and never a call
// that was told when to come back.
func TestPublishedServiceConfig(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	_, published, _ := strings.Cut(string(page), "```json\n")
	published, _, found := strings.Cut(published, "```\n")
	if !found {
		t.Fatal("no JSON in docs/clients.md")
	}
	for name, test := range map[string]struct {
		config   string
		attempts float64
	}{"without": {"{}", 1}, "published": {published, 3}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			unavailable := start(t, replica(t, "/nonexistent/socket", limitKeyFile(t), "--limit-redis-failure", "closed"))
			if _, err := unavailable.clientWith(t, test.config).IssueToken(t.Context(), issueFor("user_id", "")); reason(err) != "LIMITER_UNAVAILABLE" {
				t.Fatal(err)
			}
			if n := unavailable.metric(t, `chatidentity_refusals_total{reason="LIMITER_UNAVAILABLE"}`); n != test.attempts {
				t.Errorf("one call was %v attempts, want %v", n, test.attempts)
			}
		})
	}
	t.Run("RetryInfo", func(t *testing.T) {
		t.Parallel()
		limited := start(t, withSecret("--limit-customer", "5/s:1"))
		client := limited.clientWith(t, published)
		var refusal error
		eventually(t, "refusal", func() bool {
			_, refusal = client.IssueToken(t.Context(), issueFor("user_id", ""))
			return refusal != nil
		})
		wait := detail[*errdetails.RetryInfo](refusal).GetRetryDelay().AsDuration()
		if status.Code(refusal) != codes.ResourceExhausted || wait <= 0 || wait > 200*time.Millisecond {
			t.Fatalf("%v, retry after %v", refusal, wait)
		}
		<-time.After(wait)
		if _, err := client.IssueToken(t.Context(), issueFor("user_id", "")); err != nil {
			t.Errorf("after the wait that was asked for: %v", err)
		}
		if n := limited.metric(t, `chatidentity_refusals_total{reason="RATE_LIMITED"}`); n != 1 {
			t.Errorf("%v attempts were refused, want 1: the refused call was tried again before its time", n)
		}
	})
}
