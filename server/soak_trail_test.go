package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/token"
)

// soakSize is what must not grow.
type soakSize struct{ goroutines, files, resident float64 }

func (s *soaked) size() soakSize {
	s.t.Helper()
	p := s.current.Load()
	eventually(s.t, "quiet", func() bool { return p.metric(s.t, "chatidentity_audit_waiting_records") == 0 })
	return soakSize{
		p.metric(s.t, "go_goroutines"), p.metric(s.t, "process_open_fds"), p.metric(s.t, "process_resident_memory_bytes"),
	}
}

func assertNotGrown(t *testing.T, before, after soakSize) {
	t.Helper()
	const few, mebibyte = 16, 1 << 20
	const pool = 32 // connections to Redis, which come with the load and go when they are idle
	t.Logf("before %+v, after %+v", before, after)
	if after.goroutines > before.goroutines+few || after.files > before.files+few+pool {
		t.Errorf("%.0f goroutines and %.0f files became %.0f and %.0f",
			before.goroutines, before.files, after.goroutines, after.files)
	}
	if after.resident > before.resident*1.5+16*mebibyte {
		t.Errorf("%.0f MiB became %.0f", before.resident/mebibyte, after.resident/mebibyte)
	}
}

// trail is the audit of a sidecar, over all its processes, and what its callers received.
type trail struct {
	name      string
	directory string

	mu       sync.Mutex
	received map[string]string // digests of tokens by audit ID
	failed   int               // calls for a token that may have a record
}

// newTrail makes a directory for the audit.
func newTrail(t *testing.T, name string) *trail {
	t.Helper()
	directory := filepath.Join(t.TempDir(), "audit")
	if err := os.Mkdir(directory, 0o700); err != nil {
		t.Fatal(err)
	}
	return &trail{name: name, directory: directory, received: map[string]string{}}
}

func (r *trail) answered(reply *pb.IssueTokenResponse, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err == nil:
		r.received[reply.GetAuditId()] = token.Digest(reply.GetToken())
	case status.Code(err) != codes.ResourceExhausted:
		r.failed++
	}
}

// takeAway makes the directory of the audit vanish, until giveBack.
func (r *trail) takeAway(t *testing.T) {
	t.Helper()
	move(t, r.directory, r.directory+".gone")
}

func (r *trail) giveBack(t *testing.T) {
	t.Helper()
	move(t, r.directory+".gone", r.directory)
}

// assert checks the trail of all processes.
func (r *trail) assert(t *testing.T, keyFile string) {
	t.Helper()
	issued, unreceived := 0, 0
	for _, file := range r.files(t) {
		for record := range recordsIn(t, file) {
			if record.Event != "token.issue" || record.Outcome != "OK" {
				continue
			}
			issued++
			if r.received[record.AuditID] != record.TokenSHA256 {
				unreceived++
			}
			delete(r.received, record.AuditID)
		}
	}
	if len(r.received) > 0 {
		t.Errorf("%s: %d tokens were received and have no record", r.name, len(r.received))
	}
	if unreceived > r.failed {
		t.Errorf("%s: %d tokens were recorded and not received, but only %d calls failed", r.name, unreceived, r.failed)
	}
	code, verified, complaint := command(t, nil, "", "audit", "verify", "--audit-key-file", keyFile, r.directory)
	if code != 0 {
		t.Errorf("%s: audit verify: exit code %d: %s%s", r.name, code, verified, complaint)
	}
	t.Logf("%s: %d tokens recorded, %d of them not received; %d calls failed; %s",
		r.name, issued, unreceived, r.failed, verified)
}

// files returns the audit files, also those that were put aside when the directory came back.
func (r *trail) files(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(r.directory, "audit*"))
	files = slices.DeleteFunc(files, func(file string) bool { return strings.HasSuffix(file, ".lock") })
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has no audit files: %v", r.directory, err)
	}
	return files
}

// recordsOf counts the records of a process, in the files that were written since it was started.
func (s *soaked) recordsOf(p *soakedProcess) int {
	s.t.Helper()
	n := 0
	for _, file := range s.files(s.t) {
		if info, err := os.Stat(file); err != nil || info.ModTime().Before(p.started) {
			continue
		}
		for record := range recordsIn(s.t, file) {
			if record.Instance == p.instance {
				n++
			}
		}
	}
	return n
}

// soakRecord is what is looked at of a record.
type soakRecord struct {
	Instance, Event, Outcome string
	AuditID                  string `json:"audit_id"`
	TokenSHA256              string `json:"token_sha256"`
}

// recordsIn returns the records of a file one by one: an hour's worth does not fit into memory.
func recordsIn(t *testing.T, path string) iter.Seq[soakRecord] {
	t.Helper()
	return func(yield func(soakRecord) bool) {
		file, err := os.Open(path)
		if err != nil {
			t.Error(err)
			return
		}
		defer file.Close()
		for lines := json.NewDecoder(bufio.NewReaderSize(file, 1<<16)); ; {
			var record soakRecord
			if err := lines.Decode(&record); err != nil {
				isTorn := errors.Is(err, io.ErrUnexpectedEOF) && strings.Contains(path, ".torn-") // by a kill
				if err != io.EOF && !isTorn {
					t.Errorf("%s: %v", path, err)
				}
				return
			}
			if !yield(record) {
				return
			}
		}
	}
}
