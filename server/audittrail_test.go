package main

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
)

// publishedRetry is the service config that docs/clients.md tells clients to use.
func publishedRetry(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```json\n")
	config, _, found := strings.Cut(rest, "```")
	if !found || !strings.Contains(config, "retryPolicy") {
		t.Fatal("docs/clients.md has no service config")
	}
	return config
}

// TestEveryAuditIDOfAFailedCallIsFound makes 1,000 calls that fail after all their tries.
func TestEveryAuditIDOfAFailedCallIsFound(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	file := filepath.Join(directory, "audit.jsonl")
	p := start(t, setup{args: []string{
		"--secret-file", filepath.Join(directory, "secret that never comes"), "--audit-file", file, "--limit-caller", "off",
		"--audit-timeout", "1m", // however busy the machine is
	}})
	conn, err := grpc.NewClient("passthrough:///"+p.address,
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultServiceConfig(publishedRetry(t)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	client := pb.NewChatIdentityServiceClient(conn)

	const calls, atOnce = 1000, 50
	ids := make(chan string, calls)
	var callers sync.WaitGroup
	for range atOnce {
		callers.Go(func() {
			for range calls / atOnce {
				_, err := client.IssueToken(t.Context(), issueFor("user_id", ""))
				for _, detail := range status.Convert(err).Details() {
					if info, ok := detail.(*errdetails.ErrorInfo); ok {
						ids <- info.GetMetadata()["audit_id"]
					}
				}
			}
		})
	}
	callers.Wait()
	close(ids)
	if code := p.stop(t); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	given := map[string]int{}
	for id := range ids {
		given[id]++
	}
	told := 0
	for id, times := range given {
		code, stdout, stderr := command(t, nil, "", "audit", "find", "--audit-id", id, file)
		if code != 0 || !strings.Contains(stdout, `"reason":"SECRET_UNAVAILABLE"`) || !strings.Contains(stderr, "1 of ") {
			t.Errorf("audit ID %q, given to %d calls: code %d, %q, %q", id, times, code, stdout, stderr)
		}
		told += times
	}
	if told != calls {
		t.Errorf("%d calls were given an audit ID, of %d", told, calls)
	}
	t.Logf("%d calls were given %d audit IDs, each of them found", told, len(given))
}
