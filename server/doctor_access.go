package main

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/config"
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
	if path := x.config.CallerTokensFile; path != "" {
		if opened := x.open(checkTokens, config.Access{CallerTokensFile: path}, config.TLS{}); opened != nil { //nolint:contextcheck // files
			x.okf(checkTokens, "read from %s; over loopback a call needs one", path)
		}
	}
	if x.config.TLSCert != "" {
		if opened := x.open(checkTLS, config.Access{}, x.config.TLS); opened != nil { //nolint:contextcheck // files
			x.certificate(opened.tls.Load().ExpireTime())
		}
	}
	if path := x.config.PolicyFile; path != "" {
		if opened := x.open(checkPolicy, config.Access{PolicyFile: path}, config.TLS{}); opened != nil { //nolint:contextcheck // files
			x.callers()
			x.issuers(ctx, opened.policy.Load())
		}
	}
}

// open reads files as serve would; nil: it would refuse them, which is told.
func (x *examination) open(check string, files config.Access, tls config.TLS) *access {
	only := *x.config
	only.Access, only.TLS = files, tls
	opened, err := openAccess(&only, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		x.failf(check, "%v", err)
		return nil
	}
	return opened
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
func (x *examination) callers() {
	for _, name := range slices.Sorted(maps.Keys(x.policy.Callers)) {
		if missing := x.missing(name); missing != "" {
			x.warnf(checkPolicy, "it has the caller %s, who cannot come: %s", name, missing)
			return
		}
	}
	x.okf(checkPolicy, "%d callers and %d organizations", len(x.policy.Callers), len(x.policy.Organizations))
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
