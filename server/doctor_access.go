package main

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/policy"
)

// The checks of who may call.
const (
	checkTokens  = "caller tokens"
	checkTLS     = "TLS"
	checkPolicy  = "policy file"
	checkIssuers = "ID tokens of "
)

// certificateWarning is how long before its end a certificate is told of.
const certificateWarning = 7 * 24 * time.Hour

// access checks the files that say who may call, each by itself.
func (x *examination) access(ctx context.Context) {
	if x.config.CallerTokensFile != "" {
		if _, err := x.config.OpenCallerTokens(nil); err != nil {
			x.failf(checkTokens, "%v", err)
		} else {
			x.okf(checkTokens, "read from %s; over loopback a call needs one", x.config.CallerTokensFile)
		}
	}
	if x.config.HasTLS() {
		if opened, err := x.config.OpenTLS(nil); err != nil {
			x.failf(checkTLS, "%v", err)
		} else {
			x.certificate(opened.Load().ExpireTime())
		}
	}
	if x.config.PolicyFile != "" {
		if opened, err := x.config.OpenPolicy(nil, slog.New(slog.DiscardHandler)); err != nil {
			x.failf(checkPolicy, "%v", err)
		} else {
			x.callers(opened.Load())
			x.issuers(ctx, opened.Load())
		}
	}
}

func (x *examination) certificate(expires time.Time) {
	when := expires.UTC().Format(time.RFC3339)
	switch left := time.Until(expires); {
	case left <= 0:
		x.failf(checkTLS, "the certificate expired at %s: put a new one into --tls-cert", when)
	case left < certificateWarning:
		x.warnf(checkTLS, "the certificate expires at %s: make sure that something renews it", when)
	default:
		x.okf(checkTLS, "the certificate is good until %s", when)
	}
}

// callers warns of those in the policy that no flag lets in.
func (x *examination) callers(opened *policy.Policy) {
	for _, name := range slices.Sorted(maps.Keys(opened.Callers)) {
		if missing := x.missing(name); missing != "" {
			x.warnf(checkPolicy, "it has the caller %s, who cannot come: %s", name, missing)
			return
		}
	}
	x.okf(checkPolicy, "%d callers and %d organizations", len(opened.Callers), len(opened.Organizations))
}

func (x *examination) missing(name string) string {
	kind, rest, _ := strings.Cut(name, ":")
	switch kind {
	case "token":
		if x.config.CallerTokensFile == "" {
			return "give --caller-tokens-file"
		}
	case "certificate":
		if x.config.TLSCert == "" {
			return "give --tls-cert, --tls-key and --tls-client-ca"
		}
	case "uid":
		if user, err := strconv.ParseUint(rest, 10, 32); err == nil && !slices.Contains(x.config.AllowUID, uint32(user)) {
			return "give --allow-uid " + rest
		}
	}
	return ""
}

// issuers asks each for its keys, as the first token of a user would.
func (x *examination) issuers(ctx context.Context, opened *policy.Policy) {
	for _, name := range slices.Sorted(maps.Keys(opened.Issuers)) {
		if err := opened.Issuers[name].LoadKeys(ctx); err != nil {
			x.failf(checkIssuers+name, "%v: check its jwks_url and what may leave the pod (network policy)", err)
			continue
		}
		x.okf(checkIssuers+name, "its keys are there")
	}
}
