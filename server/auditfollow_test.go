package main

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

// TestInterruptEndsFollow also while the older files, of which there may be many, are read.
func TestInterruptEndsFollow(t *testing.T) {
	t.Parallel()
	older := filepath.Join(t.TempDir(), "older")
	if err := syscall.Mkfifo(older, 0o600); err != nil {
		t.Fatal(err)
	}
	last := filepath.Join(t.TempDir(), "audit.jsonl")
	if err := os.WriteFile(last, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	go writeForever(t, older)
	c := exec.CommandContext(t.Context(), program, "audit", "find", "--follow", "--summary", "--caller", "loopback", older, last)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	stdout, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		t.Error(err)
	}
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Error(err)
	}
	if _, err := io.Copy(io.Discard, stdout); err != nil {
		t.Error(err)
	}
	err = c.Wait()
	if err != nil || !strings.Contains(stderr.String(), " records match") || !strings.Contains(stderr.String(), "calls in steps of ") {
		t.Errorf("%v, %s", err, stderr.String())
	}
}

// writeForever writes records to a pipe until nobody reads it.
func writeForever(t *testing.T, path string) {
	t.Helper()
	key, err := audit.NewKey("k", make([]byte, 32))
	if err != nil {
		t.Error(err)
		return
	}
	r := &audit.Record{Event: audit.EventIssue, Outcome: audit.OutcomeOK, Caller: "loopback", AuditID: "x", Time: time.Unix(1_790_000_000, 0)}
	lines := bytes.Repeat(audit.NewChain(key, audit.Head{}).Seal(nil, audit.AppendBody(nil, r), 0), 100)
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	for err == nil {
		_, err = f.Write(lines)
	}
	_ = f.Close() // its reader has ended
}
