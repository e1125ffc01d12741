package doctor

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// certificateWarning is how long before its end a certificate is reported.
const certificateWarning = 7 * 24 * time.Hour

func callerTokens(_ context.Context, s *setup) []Finding {
	opened := s.OpenCallerTokens(nil)
	switch {
	case opened == nil:
		return nil
	case opened.Err() != nil:
		return s.wrongFile(opened.Problem())
	default:
		return okf("read from %s; over loopback a call needs one", s.CallerTokensFile)
	}
}

func certificate(_ context.Context, s *setup) []Finding {
	opened := s.OpenTLS(nil)
	switch {
	case opened == nil:
		return nil
	case opened.Err() != nil:
		return s.wrongFile(opened.Problem())
	}
	expires := opened.Load().ExpireTime()
	when := expires.UTC().Format(time.RFC3339)
	switch left := time.Until(expires); {
	case left <= 0:
		return failedf("the certificate expired at %s: put a new one into --tls-cert", when)
	case left < certificateWarning:
		return warningf("the certificate expires at %s: make sure that something renews it", when)
	default:
		return okf("the certificate is valid until %s", when)
	}
}

// policyFile warns of the first caller in the policy that no flag lets in.
func policyFile(_ context.Context, s *setup) []Finding {
	switch {
	case s.policy == nil:
		return nil
	case s.policy.Err() != nil:
		return s.wrongFile(s.policy.Problem())
	}
	opened := s.policy.Load()
	for _, name := range slices.Sorted(maps.Keys(opened.Callers)) {
		if flag := s.missingFlag(name); flag != "" {
			return warningf("it names the caller %s, which can never connect: give %s", name, flag)
		}
	}
	return okf("%d callers and %d organizations", len(opened.Callers), len(opened.Organizations))
}

// missingFlag returns the flag that would let the caller in; empty: it can come.
func (s *setup) missingFlag(caller string) string {
	kind, rest, _ := strings.Cut(caller, ":")
	switch kind {
	case "token":
		if s.CallerTokensFile == "" {
			return "--caller-tokens-file"
		}
	case "certificate":
		if !s.HasTLS() {
			return "--tls-cert, --tls-key and --tls-client-ca"
		}
	case "uid":
		if user, err := strconv.ParseUint(rest, 10, 32); err == nil && !slices.Contains(s.AllowUID, uint32(user)) {
			return "--allow-uid " + rest
		}
	}
	return ""
}

// issuers loads the keys of each, as the first token of a user would.
func issuers(ctx context.Context, s *setup) []Finding {
	if s.policy == nil || s.policy.Err() != nil {
		return nil
	}
	opened := s.policy.Load()
	var findings []Finding
	for _, name := range slices.Sorted(maps.Keys(opened.Issuers)) {
		found := okf("its keys are loaded")
		if err := opened.Issuers[name].LoadKeys(ctx); err != nil {
			found = failedf("%v: check its jwks_url and what may leave the pod (network policy)", err)
		}
		findings = append(findings, of("of "+name, found)...)
	}
	return findings
}
