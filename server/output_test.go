package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Standard output that is closed, full, or not read: no token without its
// record, an answer within the timeout, and the program lives on.
func TestStandardOutputThatTakesNothing(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	needs(t, "/dev/full", err == nil)
	t.Cleanup(func() { full.Close() })
	closedReader, closedWriter, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	closedReader.Close()
	t.Cleanup(func() { closedWriter.Close() })
	for name, stdout := range map[string]*os.File{"full": full, "a pipe without reader": closedWriter} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, setup{args: []string{"--audit-timeout", "200ms"}, env: []string{"KUSTOMER_SECRET_KEY=" + testSecret}, stdout: stdout})
			for range 3 {
				assertAuditUnavailable(t, p)
			}
			if code, body := p.get(t, "/readyz"); code != 503 || !strings.HasPrefix(body, "audit: ") {
				t.Errorf("ready: %d %s", code, body)
			}
			if code, _ := p.get(t, "/livez"); code != 200 {
				t.Errorf("live: %d", code)
			}
		})
	}
	t.Run("closed", func(t *testing.T) {
		t.Parallel()
		p := start(t, setup{wrap: []string{"sh", "-c", `exec "$0" "$@" >&-`}, env: []string{"KUSTOMER_SECRET_KEY=" + testSecret}})
		assertAuditUnavailable(t, p)
		if code, body := p.get(t, "/readyz"); code != 503 || !strings.HasPrefix(body, "audit: ") {
			t.Errorf("ready: %d %s", code, body)
		}
	})
	t.Run("a pipe that nobody reads, then somebody", func(t *testing.T) {
		t.Parallel()
		reader, writer, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer reader.Close()
		p := start(t, setup{
			args: append(unlimited, "--audit-timeout", "200ms"), env: []string{"KUSTOMER_SECRET_KEY=" + testSecret}, stdout: writer,
		})
		writer.Close()
		client := p.client(t)
		issued := 0
		eventually(t, "full pipe", func() bool { // 64 KiB of records
			_, err := client.IssueToken(t.Context(), issueFor("user_id", ""))
			if err == nil {
				issued++
			}
			return status.Code(err) == codes.Unavailable
		})
		if issued == 0 {
			t.Error("nothing was issued while there was room")
		}
		assertAuditUnavailable(t, p)
		var read output
		go func() { _, _ = reader.WriteTo(&read) }()
		eventually(t, "recovery", func() bool {
			_, err := client.IssueToken(t.Context(), issueFor("user_id", ""))
			return err == nil
		})
		eventually(t, "whole records", func() bool { return strings.Count(read.String(), "token.issue") > issued })
		for line := range strings.Lines(read.String()) {
			if strings.HasSuffix(line, "\n") && !json.Valid([]byte(line)) {
				t.Errorf("a torn record: %s", line)
			}
		}
	})
}

func assertAuditUnavailable(t *testing.T, p *running) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	reply, err := p.client(t).IssueToken(ctx, issueFor("user_id", ""))
	if reply.GetToken() != "" || status.Code(err) != codes.Unavailable || !strings.Contains(fmt.Sprint(status.Convert(err).Details()), "AUDIT_UNAVAILABLE") {
		t.Errorf("reply %v, error %v: want AUDIT_UNAVAILABLE", reply, err)
	}
}

// A log that nobody reads holds up neither a call nor the stop; what did not
// fit is counted, and told when somebody reads again.
func TestALogThatNobodyReads(t *testing.T) {
	t.Parallel()
	for name, readAgain := range map[string]bool{"never": false, "later": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			read := make(chan struct{})
			goOn := sync.OnceFunc(func() { close(read) })
			p := start(t, setup{args: append(unlimited, "--log-level", "debug", "--secret-file", "/nowhere"), readLog: read})
			t.Cleanup(goOn)
			client := p.client(t)
			eventually(t, "dropped line", func() bool { // each call that fails is a line
				for range 100 {
					ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
					_, err := client.IssueToken(ctx, issueFor("user_id", ""))
					cancel()
					if !strings.Contains(fmt.Sprint(status.Convert(err).Details()), "SECRET_UNAVAILABLE") {
						t.Fatalf("error %v", err)
					}
				}
				_, metrics := p.get(t, "/metrics")
				return !strings.Contains(metrics, "chatidentity_log_lines_dropped_total 0\n")
			})
			if readAgain {
				goOn()
				eventually(t, "word of it", func() bool { return strings.Contains(p.stderr.String(), "log lines were dropped") })
			}
			if err := p.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			state, err := p.Process.Wait()
			if err != nil || state.ExitCode() != 0 {
				t.Errorf("ended with %v, error %v", state, err)
			}
		})
	}
}
