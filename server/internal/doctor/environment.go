package doctor

import (
	"context"
	"os"
	"strings"

	"github.com/chatidentity/chatidentity/server/internal/config"
	"github.com/chatidentity/chatidentity/server/internal/process"
)

func hardening(context.Context, *setup) []Finding {
	if err := process.Harden(); err != nil {
		return warningf("other processes of its user can read its memory: %v", err)
	}
	return nil
}

// environment warns of variables that are blank, and of those that look like a flag's but are not:
// serve ignores a misspelt one silently.
func environment(_ context.Context, s *setup) []Finding {
	findings := noticed("", s.Blank())
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, config.VariablePrefix) && !s.variables[name] && !isServiceLink(name) {
			findings = append(findings, warningf("%s belongs to no flag and has no effect: correct its name "+
				"(serve --help lists them) or remove it", name)...)
		}
	}
	return findings
}

// isServiceLink reports whether Kubernetes sets the variable, for a Service whose name begins with
// chatidentity.
func isServiceLink(name string) bool {
	return strings.HasSuffix(name, "_PORT") || strings.Contains(name, "_PORT_") || strings.Contains(name, "_SERVICE_")
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
