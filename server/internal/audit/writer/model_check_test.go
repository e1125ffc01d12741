//go:build unix

package writer

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/audit/reader"
)

// check compares the disk with the model.
func (s *stage) check() {
	s.t.Helper()
	trail, aside := s.records()
	for digest, token := range s.model.tokens {
		inTrail, inAll := trail[digest], trail[digest]+aside[digest]
		switch {
		case token.acked && !token.exposed && inAll == 0:
			s.failf("%s was issued, and there is no record of it", digest)
		case inTrail > 1 || inAll > 1 && !s.meddles:
			s.failf("%s has %d records", digest, inAll)
		}
		delete(trail, digest)
		delete(aside, digest)
	}
	for digest := range trail {
		s.failf("there is a record of %s, which nobody asked for", digest)
	}
	for _, kept := range s.model.kept {
		if !s.stands(kept) {
			s.failf("%q was on the disk and is nowhere now", kept)
		}
	}
}

// verify has the trail verified as an operator would. After a loss of power that left sectors out of
// order, records that nobody was told of may be holes in it.
func (s *stage) verify() {
	s.t.Helper()
	if s.meddles || s.disk.reordered || s.model.unsynced {
		return
	}
	var trail []reader.Source
	for _, name := range s.trail() {
		if b := s.disk.names[name].now; len(b) > 0 {
			trail = append(trail, inMemory(name, b))
		}
	}
	if len(trail) == 0 {
		return
	}
	o := reader.VerifyOptions{Keys: s.o.Keys, TrustFirst: s.o.MaxFiles > 0}
	report, err := reader.Verify(context.Background(), trail, o)
	if err != nil || report.Fault != nil || report.Chains != 1 {
		s.failf("the trail does not verify: %v, %v", report, err)
	}
}

// trail returns the rotated files and the audit file, in order.
func (s *stage) trail() []string {
	var names []string
	for _, name := range s.disk.files() { // "audit-2026…" sorts before "audit.jsonl"
		if _, rotated := stampOf(s.o.File, name); rotated || name == "audit.jsonl" {
			names = append(names, name)
		}
	}
	return names
}

// records counts the records of each token in the trail, and in other files.
func (s *stage) records() (map[string]int, map[string]int) {
	trail, aside := map[string]int{}, map[string]int{}
	names := s.trail()
	for _, name := range s.disk.files() {
		found := aside
		if slices.Contains(names, name) {
			found = trail
		}
		for raw := range bytes.Lines(s.disk.names[name].now) {
			if line := parse(bytes.TrimSuffix(raw, []byte("\n"))); line != nil && line.Text("token_sha256") != "" {
				found[line.Text("token_sha256")]++
			}
		}
	}
	return trail, aside
}

// stands reports whether some file holds the text.
func (s *stage) stands(text []byte) bool {
	for _, i := range s.disk.names {
		if bytes.Contains(i.now, text) {
			return true
		}
	}
	return false
}

// count compares the calls of a process with what is recorded and counted of them.
func (s *stage) count(p *process) {
	counted := 0
	for _, name := range s.disk.files() {
		if strings.Contains(name, ".torn-") {
			continue
		}
		for raw := range bytes.Lines(s.disk.names[name].now) {
			line := parse(bytes.TrimSuffix(raw, []byte("\n")))
			switch {
			case line == nil || line.Text("instance") != p.name || line.Text("event") == "chain.start":
			case line.Get("count") != nil:
				var n int
				_, _ = fmt.Sscan(line.Text("count"), &n)
				counted += n
			default:
				counted++
			}
		}
	}
	if counted != p.calls && !s.meddles && s.o.MaxFiles == 0 {
		s.failf("%d calls of %s were made and %d are recorded or counted", p.calls, p.name, counted)
	}
}

// retained is called when the log deletes a file.
func (s *stage) retained(name string) {
	rotated := slices.DeleteFunc(s.trail(), func(name string) bool { return name == "audit.jsonl" })
	if len(s.disk.names[name].now) == 0 {
		return
	}
	if s.o.MaxFiles == 0 || len(rotated) <= s.o.MaxFiles {
		s.failf("%s was deleted, and %d files are there", name, len(rotated))
	}
	s.expose(func(digest string) bool { return bytes.Contains(s.disk.names[name].now, []byte(digest+`"`)) })
}

// expose notes that records may be gone.
func (s *stage) expose(which func(digest string) bool) {
	for digest, token := range s.model.tokens {
		token.exposed = token.exposed || which(digest)
	}
}

// meddle is what somebody else does to the audit file.
func (s *stage) meddle() {
	file := s.disk.names["audit.jsonl"]
	if !s.meddles || file == nil {
		return
	}
	s.meddlings++
	held := func(digest string) bool { return bytes.Contains(file.now, []byte(digest+`"`)) }
	rename := func(to string) {
		s.disk.rename(func(names map[string]*inode) {
			delete(names, "audit.jsonl")
			if to != "" {
				names[to] = file
			}
		})
	}
	switch s.random.IntN(5) {
	case 0: // as logrotate does: nothing is lost
		rename(fmt.Sprint("moved-", s.steps))
	case 1:
		rename(fmt.Sprint("moved-", s.steps))
		s.disk.create("audit.jsonl")
	case 2:
		s.expose(held)
		rename("")
	case 3:
		s.expose(held)
		size := int64(s.random.IntN(len(file.now) + 1))
		file.now = file.now[:size]
		file.dirty = append(file.dirty, change{at: size})
	default:
		if len(file.now) > 0 && file.now[len(file.now)-1] != '\n' {
			return // a file that begins with garbage is no audit file, and stops a start
		}
		text := []byte(audit.RecordStart + "somebody else\n")
		file.dirty = append(file.dirty, change{int64(len(file.now)), text})
		file.now = append(file.now, text...)
	}
}
