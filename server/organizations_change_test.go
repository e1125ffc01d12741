package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/kustomer/standin"
)

// tenants are organizations that come and go, beside some that stay.
type tenants struct {
	directory, vendor string
}

const (
	tenantCount = 50
	ofTheAPI    = 45 // the first tenant whose secret comes from the API
)

func (v *tenants) path(name string) string { return filepath.Join(v.directory, name) }

func (v *tenants) replace(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(v.path("new"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(v.path("new"), v.path(name)); err != nil {
		t.Fatal(err)
	}
}

// secretOf returns a tenant's secret, which is another one each time that it comes back, except from
// the API.
func (v *tenants) secretOf(n, round int) string {
	if n >= ofTheAPI {
		return canarySecret
	}
	return fmt.Sprintf("canary-tenant-%d-%d-0123456789-0123456789", n, round)
}

// write makes a policy of those that stay and the first of the others.
func (v *tenants) write(t *testing.T, round, tenants int) {
	t.Helper()
	policy := strings.Builder{}
	fmt.Fprintf(&policy, "# round %d\ncallers: {loopback: {organizations: all}}\norganizations:\n", round)
	fmt.Fprintf(&policy, "  stays-file: {secret_file: %s}\n  stays-env: {secret_env: STAYS}\n", v.path("stays"))
	fmt.Fprintf(&policy, "  stays-api: {api_key_file: %s, api_url: '%s'}\n", v.path("key"), v.vendor)
	for n := range tenants {
		if n >= ofTheAPI {
			fmt.Fprintf(&policy, "  tenant-%d: {api_key_file: %s, api_url: '%s'}\n", n, v.path("key"), v.vendor)
			continue
		}
		v.replace(t, fmt.Sprint("secret", n), v.secretOf(n, round)+"\n")
		fmt.Fprintf(&policy, "  tenant-%d: {secret_file: %s}\n", n, v.path(fmt.Sprint("secret", n)))
	}
	v.replace(t, "policy.yaml", policy.String())
}

// Fifty organizations are added and removed again and again under load: calls for those that stay
// never fail, a new one has its own secret once it has one, and of a removed one nothing is left.
func TestOrganizationsComeAndGoUnderLoad(t *testing.T) {
	t.Parallel()
	rounds := 5 // in CI under the race detector, which makes a fingerprint of a secret fifty times as dear
	if os.Getenv("PROOF") != "" {
		rounds = 100
	}
	v := &tenants{directory: t.TempDir(), vendor: startVendor(t, standin.New(standin.Options{APIKey: canaryAPIKey, Secret: canarySecret}))}
	v.replace(t, "key", canaryAPIKey)
	v.replace(t, "stays", testSecret+"\n")
	v.write(t, -1, 0)
	auditFile := v.path("audit.jsonl")
	s := withSecret(append(unlimited, "--policy-file", v.path("policy.yaml"), "--audit-file", auditFile, "--audit-sync", "off", "--audit-timeout", "1m")...)
	s.env = append(s.env, "STAYS="+testSecret)
	p := start(t, s)
	client := p.client(t)
	issue := func(organization string) (string, error) {
		reply, err := client.IssueToken(t.Context(), &pb.IssueTokenRequest{
			Customer: &pb.Customer{ExternalId: "user_id"}, Organization: organization,
		})
		return reply.GetToken(), err
	}
	staying := map[string]string{"": testSecret, "stays-file": testSecret, "stays-env": testSecret, "stays-api": canarySecret}
	for name, secret := range staying {
		eventually(t, "token of "+name, func() bool { token, _ := issue(name); return signedWith(token, secret) })
	}
	goroutines := p.metric(t, "go_goroutines")

	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	var calls, others atomic.Int64
	for name, secret := range staying {
		running.Go(func() {
			for ctx.Err() == nil {
				token, err := issue(name)
				if err != nil || !signedWith(token, secret) {
					t.Errorf("a call for %q, which stays: %v", name, err)
					return
				}
				calls.Add(1)
			}
		})
	}
	running.Go(func() { // calls for those that come and go end well, or say why not
		for ctx.Err() == nil {
			_, err := issue(fmt.Sprint("tenant-", rand.N(tenantCount)))
			switch reason(err) {
			case "", "UNKNOWN_ORGANIZATION", "SECRET_UNAVAILABLE":
				others.Add(1)
			default:
				t.Errorf("a call for one that comes and goes: %v", err)
				return
			}
		}
	})
	for round := range rounds {
		v.write(t, round, tenantCount)
		for n := range tenantCount {
			patiently(t, fmt.Sprintf("token of tenant %d in round %d", n, round), func() bool {
				token, err := issue(fmt.Sprint("tenant-", n))
				if err == nil && !signedWith(token, v.secretOf(n, round)) {
					t.Fatalf("round %d: a token of tenant %d is signed with another secret", round, n)
				}
				return err == nil
			})
		}
		v.write(t, round, 0)
		patiently(t, "removal", func() bool { _, err := issue("tenant-0"); return reason(err) == "UNKNOWN_ORGANIZATION" })
		for n := range tenantCount {
			if _, err := issue(fmt.Sprint("tenant-", n)); reason(err) != "UNKNOWN_ORGANIZATION" {
				t.Errorf("round %d: tenant %d is still there: %v", round, n, err)
			}
		}
	}
	stop()
	running.Wait()
	t.Logf("%d times %d added and removed; %d calls for those that stayed, none failed; %d calls for the others", rounds, tenantCount, calls.Load(), others.Load())

	_, page := p.get(t, "/metrics")
	if strings.Contains(page, "tenant-") {
		t.Error("metrics still name a removed organization")
	}
	eventually(t, "goroutines to end", func() bool { return p.metric(t, "go_goroutines") <= goroutines })
	p.stop(t)
	assertNoCanary(t, p, auditFile, page)
}

// patiently waits longer than eventually: under the race detector, fifty secrets take their time.
func patiently(t *testing.T, what string, is func() bool) {
	t.Helper()
	tooLate := time.After(3 * time.Minute)
	for !is() {
		select {
		case <-time.After(time.Millisecond):
		case <-tooLate:
			t.Fatalf("no %s", what)
		}
	}
}
