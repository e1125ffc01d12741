package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
)

// unlimited lets a load through, so that what is tested is not the limits.
var unlimited = []string{"--limit-caller", "off", "--limit-customer", "off"}

// records reads an audit file.
func records(t testing.TB, path string) []map[string]any {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []map[string]any
	for line := range strings.Lines(string(text)) {
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		all = append(all, record)
	}
	return all
}

// load issues tokens with several callers until it is stopped. each is told
// what came of each call.
func load(t *testing.T, p *running, callers int, each func(*pb.IssueTokenResponse, error)) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for n := range callers {
		client := p.client(t)
		running.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				callCtx, done := context.WithTimeout(context.Background(), 20*time.Second)
				each(client.IssueToken(callCtx, issueFor(fmt.Sprintf("user_%d_%d", n, i), "")))
				done()
			}
		})
	}
	return func() {
		cancel()
		running.Wait()
	}
}

// A call is lost when its record says OK, its connection was intact, and no
// reply came. SIGTERM loses none, and the exit code is 0.
func TestSIGTERMUnderLoadLosesNothing(t *testing.T) {
	t.Parallel()
	for round := range rounds(10, 100, 1000) {
		file := filepath.Join(t.TempDir(), "audit.jsonl")
		p := start(t, withSecret(append(unlimited, "--audit-file", file, "--audit-sync", "off", "--audit-timeout", "30s")...))
		var mu sync.Mutex
		received := map[string]bool{}
		var answered atomic.Int64
		stop := load(t, p, 8, func(reply *pb.IssueTokenResponse, err error) {
			switch status.Code(err) {
			case codes.OK:
				mu.Lock()
				received[reply.GetAuditId()] = true
				mu.Unlock()
				answered.Add(1)
			case codes.Unavailable: // not taken any more
			default:
				t.Errorf("round %d: %v", round, err)
			}
		})
		eventually(t, "load", func() bool { return answered.Load() > int64(20+round%50) })
		code := p.stop(t)
		stop()
		if code != 0 {
			t.Fatalf("round %d: exit code %d\n%s", round, code, p.stderr)
		}
		for _, record := range records(t, file) {
			id, _ := record["audit_id"].(string)
			if record["event"] == "token.issue" && record["outcome"] == "OK" && !received[id] {
				t.Errorf("round %d: lost %v", round, record)
			}
		}
	}
}

func TestDrainDelayGoesOnAnsweringWhileNotReady(t *testing.T) {
	t.Parallel()
	p := start(t, withSecret("--drain-delay", "1h"))
	if code, body := p.get(t, "/readyz"); code != 200 || body != "ok\n" {
		t.Fatalf("ready: %d %s", code, body)
	}
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "end of readiness", func() bool {
		code, body := p.get(t, "/readyz")
		return code == 503 && strings.HasPrefix(body, "stopping: ")
	})
	if code, _ := p.get(t, "/livez"); code != 200 {
		t.Errorf("live while draining: %d", code)
	}
	if _, err := p.client(t).IssueToken(t.Context(), issueFor("user_id", "")); err != nil {
		t.Errorf("a call while draining: %v", err)
	}
	if code, stdout, _ := command(t, nil, "", "health", "--address", p.address); code != 1 || !strings.Contains(stdout, "NOT_SERVING") {
		t.Errorf("health while draining: %d %s", code, stdout)
	}
}

// logrotate does not ask whether the sidecar is stopping.
func TestSIGHUPWhileDraining(t *testing.T) {
	t.Parallel()
	p := start(t, withSecret("--drain-delay", "5s"))
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the drain", func() bool { return strings.Contains(p.stderr.String(), "stopping") })
	if err := p.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if err := p.waited(); err != nil {
		t.Errorf("%v\n%s", err, p.stderr)
	}
}
