package doctor

import (
	"context"
	"os"
	"slices"

	"github.com/chatidentity/chatidentity/server/internal/config"
	"github.com/chatidentity/chatidentity/server/internal/process"
)

func hardening(context.Context, *setup) []Finding {
	if err := process.Harden(); err != nil {
		return warningf("other processes of its user can read its memory: %v", err)
	}
	return nil
}

// environment warns of variables that are blank, and of those that look like a flag's but are not.
func environment(_ context.Context, s *setup) []Finding {
	return noticed("", slices.Concat(s.Blank(), config.Misspelt(s.variables, os.Environ())))
}

// flags warns of those that have no effect.
func flags(_ context.Context, s *setup) []Finding { return noticed("", s.Idle()) }

// permissions warns of files with secrets that every user can read, and of files that decide who may
// call which every user can change.
func permissions(_ context.Context, s *setup) []Finding { return noticed("of ", s.Exposed()) }

// noticed returns a finding for each notice. Subject begins what the finding is about.
func noticed(subject string, notices []config.Notice) []Finding {
	findings := make([]Finding, 0, len(notices))
	for _, notice := range notices {
		found := warningf("%s", notice.Text)
		if notice.Opens {
			found = failedf("%s", notice.Text)
		}
		findings = append(findings, of(subject+notice.Setting, found)...)
	}
	return findings
}
