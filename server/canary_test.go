package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/kustomer/standin"
)

// canaries are values that must not be found anywhere but in the reply that
// they belong to.
const (
	canarySecret = "canary-secret-0123456789-0123456789"
	canaryAPIKey = "canary-api-key-0123456789"
	canaryID     = "canary-external-id"
	canaryEmail  = "canary@example.com"
)

// Every path through the program, with recognizable values: none of them is in
// the logs, errors, metrics or audit.
func TestNoValueOfAPersonOrSecretIsTold(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args []string
	}{
		"the API's secret, all calls": {nil},
		"the log at debug":            {[]string{"--log-level", "debug"}},
		"limits in shadow":            {[]string{"--limit-mode", "shadow", "--limit-customer", "1/h"}},
		"best effort, on a full disk": {[]string{"--audit-mode", "best-effort", "--audit-file", "/dev/full"}},
		"exclusive identifiers":       {[]string{"--identifier-policy", "exclusive"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vendor := standin.New(standin.Options{APIKey: canaryAPIKey, Secret: canarySecret})
			p, file := startOnStandin(t, vendor, test.args...)
			eventually(t, "secret", func() bool {
				code, body := p.get(t, "/readyz")
				return code == 200 || strings.HasPrefix(body, "audit")
			})
			told := everyCall(t, p)
			hangUp(t, p)
			var reload string
			eventually(t, "end of the reload", func() bool {
				_, reload = p.get(t, "/reload")
				return strings.Contains(reload, `"ended":true`)
			})
			_, metrics := p.get(t, "/metrics")
			_, ready := p.get(t, "/readyz")
			p.stop(t)
			assertNoCanary(t, p, file, append(told, metrics, ready, reload)...)
		})
	}
	for _, behaviour := range standin.Failing() {
		t.Run("the API is "+string(behaviour), func(t *testing.T) {
			t.Parallel()
			vendor := standin.New(standin.Options{APIKey: canaryAPIKey, Secret: canarySecret})
			vendor.SetBehaviour(behaviour)
			p, file := startOnStandin(t, vendor, "--log-level", "debug")
			eventually(t, "attempt", func() bool { return vendor.Requests() > 0 })
			_, err := p.client(t).IssueToken(t.Context(), issueFor(canaryID, canaryEmail))
			_, metrics := p.get(t, "/metrics")
			_, ready := p.get(t, "/readyz")
			p.stop(t)
			assertNoCanary(t, p, file, said(err), metrics, ready)
		})
	}
}

// startOnStandin starts a sidecar whose secret comes from the stand-in.
func startOnStandin(t *testing.T, vendor *standin.Vendor, args ...string) (p *running, auditFile string) {
	t.Helper()
	url, stop, err := vendor.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	auditFile = filepath.Join(t.TempDir(), "audit.jsonl")
	args = append([]string{"--api-url", url, "--audit-file", auditFile}, args...)
	return start(t, setup{args: args, env: []string{"KUSTOMER_API_KEY=" + canaryAPIKey}}), auditFile
}

// everyCall takes every path that a client can, and returns what it was told in
// errors.
func everyCall(t *testing.T, p *running) []string {
	t.Helper()
	client := p.client(t)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-request-id", "canary id with spaces", "authorization", "Bearer canary-bearer",
		"traceparent", "canary", "x-user-id-token", "canary-id-token")
	var errors []string
	var token string
	for range 12 { // the limit is among them
		reply, err := client.IssueToken(ctx, issueFor(canaryID, canaryEmail))
		errors = append(errors, said(err))
		if reply.GetToken() != "" {
			token = reply.GetToken()
		}
	}
	for _, bad := range []*pb.IssueTokenRequest{
		issueFor(canaryID+"\x00", ""), issueFor("", "canary"), issueFor(strings.Repeat("canary", 200), ""), issueFor("", canaryEmail+","+canaryEmail),
		{Customer: &pb.Customer{ExternalId: canaryID}, Organization: "canary-organization"},
	} {
		_, err := client.IssueToken(ctx, bad)
		errors = append(errors, said(err))
	}
	for _, text := range []string{token, "canary", "canary." + token, strings.Repeat("canary", 1000)} {
		_, err := client.VerifyToken(ctx, &pb.VerifyTokenRequest{Token: text})
		errors = append(errors, said(err))
	}
	connection, err := grpc.NewClient("passthrough:///"+p.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	errors = append(errors, said(connection.Invoke(ctx, "/canary.Service/Method", issueFor(canaryID, ""), &pb.IssueTokenResponse{})))
	raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = fmt.Fprintf(raw, "GET /canary HTTP/1.1\r\nHost: canary\r\n\r\n")
	raw.Close()
	hasty, cancel := context.WithTimeout(ctx, time.Microsecond)
	defer cancel()
	_, err = client.IssueToken(hasty, issueFor(canaryID, canaryEmail))
	return append(errors, said(err))
}

func said(err error) string {
	if err == nil {
		return ""
	}
	return fmt.Sprintf("%v %v", err, status.Convert(err).Proto())
}

func assertNoCanary(t *testing.T, p *running, auditFile string, told ...string) {
	t.Helper()
	places := map[string]string{"log": p.stderr.String(), "standard output": p.stdout.String(), "errors, metrics, readiness": strings.Join(told, "\n")}
	if text, err := os.ReadFile(auditFile); err == nil {
		places["audit"] = string(text)
	}
	for place, text := range places {
		for line := range strings.Lines(text) {
			// The client's own library names the method that it was asked for.
			if strings.Contains(strings.ReplaceAll(line, "unknown service canary.Service", ""), "canary") || strings.Contains(line, "eyJ") {
				t.Errorf("a value in the %s: %s", place, line)
			}
		}
	}
}
