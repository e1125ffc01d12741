package doctor

import (
	"context"
	"io/fs"
	"os"
	"slices"
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

// environment warns of variables that look like a flag's but are not: serve ignores a misspelt one
// silently.
func environment(_ context.Context, s *setup) []Finding {
	var findings []Finding
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

// What users other than a file's owner and group can do with it.
const (
	othersRead  fs.FileMode = 0o004
	othersWrite fs.FileMode = 0o002
)

// permissions warns of files with secrets that every user can read, and of files that decide who may
// call which every user can change.
func permissions(_ context.Context, s *setup) []Finding {
	findings := slices.Concat(
		openToOthers(othersRead|othersWrite, s.AuditKeyFile, s.LimitRedisPasswordFile, s.TLSKey),
		openToOthers(othersWrite, s.CallerTokensFile, s.PolicyFile, s.TLSCert, s.TLSClientCA),
	)
	for _, one := range s.organizations {
		findings = append(findings, openToOthers(othersRead|othersWrite, one.SecretFile, one.APIKeyFile)...)
	}
	return findings
}

func openToOthers(forbidden fs.FileMode, paths ...string) []Finding {
	var findings []Finding
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() || info.Mode()&forbidden == 0 {
			continue // whoever reads the file says what else is wrong with it
		}
		can := "read"
		if info.Mode()&othersWrite != 0 {
			can = "change"
		}
		findings = append(findings, of("of "+path, warningf("%#o: every user here can %s the file: give it the mode 0600, "+
			"or 0640 and a group of its own (in Kubernetes: defaultMode 0440 and fsGroup)", info.Mode().Perm(), can))...)
	}
	return findings
}
