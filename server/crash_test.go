package main

import (
	"context"
	"encoding/base64"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/audit/reader"
	"github.com/chatidentity/chatidentity/server/internal/config"
	"github.com/chatidentity/chatidentity/server/internal/token"
)

// Killed at any moment under load, the process leaves a record for every token
// that a client received, and a file that goes on and verifies. (A record may
// exist for a token that nobody received.)
func TestSIGKILLLeavesARecordForEveryTokenReceived(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	file, keyFile := filepath.Join(directory, "audit.jsonl"), filepath.Join(directory, "key")
	if err := os.WriteFile(keyFile, []byte(base64.StdEncoding.EncodeToString(make([]byte, 32))), 0o600); err != nil {
		t.Fatal(err)
	}
	keys, err := config.ReadAuditKeys(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	received := map[string]string{} // token digests by audit ID
	var mu sync.Mutex
	kills := rounds(5, 10, 200)
	for range kills {
		p := start(t, withSecret(append(unlimited, "--audit-file", file, "--audit-key-file", keyFile, "--audit-max-size", "1MiB")...))
		var answered atomic.Int64
		stop := load(t, p, 8, func(reply *pb.IssueTokenResponse, err error) {
			if err == nil {
				mu.Lock()
				received[reply.GetAuditId()] = token.Digest(reply.GetToken())
				mu.Unlock()
				answered.Add(1)
			}
		})
		moment := rand.Int64N(300)
		eventually(t, "load", func() bool { return answered.Load() > moment })
		if err := p.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = p.waited()
		stop()
	}
	p := start(t, withSecret("--audit-file", file, "--audit-key-file", keyFile)) // cuts off what is torn
	if code := p.stop(t); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	files, err := filepath.Glob(filepath.Join(directory, "audit*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		for _, record := range records(t, name) {
			if id, _ := record["audit_id"].(string); received[id] != "" && record["token_sha256"] == received[id] {
				delete(received, id)
			}
		}
	}
	if len(received) != 0 {
		t.Errorf("%d tokens were received and have no record: %v", len(received), received)
	}
	report, err := reader.Verify(context.Background(), reader.Files(files...), reader.VerifyOptions{Keys: keys})
	if err != nil || report.Fault != nil {
		t.Errorf("verify: %v, fault %v", err, report.Fault)
	}
	t.Logf("%d kills, %d records in %d files", kills, report.Records, len(files))
}
