package main

import (
	"cmp"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chatidentity/chatidentity/server/internal/caller"
	"github.com/chatidentity/chatidentity/server/internal/config"
	"github.com/chatidentity/chatidentity/server/internal/idtoken"
	"github.com/chatidentity/chatidentity/server/internal/policy"
	"github.com/chatidentity/chatidentity/server/internal/rpc"
	"github.com/chatidentity/chatidentity/server/internal/watch"
)

// access is the files that say who may call and what each caller may do. They are
// followed: a call sees one state of each.
type access struct {
	tokens *watch.Value[*caller.Tokens] // nil: none are configured
	tls    *watch.Value[*caller.TLS]
	policy *watch.Value[*policy.Policy]
}

// openAccess reads the files, which the follower keeps current.
func openAccess(c *config.Serve, follower *watch.Follower, log *slog.Logger) (*access, error) {
	a := &access{}
	if c.CallerTokensFile != "" {
		a.tokens = watch.New(follower, watch.Options[*caller.Tokens]{
			Kind: "caller_tokens", Setting: "--caller-tokens-file", Paths: []string{c.CallerTokensFile},
			Parse: func(contents [][]byte, _ *caller.Tokens) (*caller.Tokens, error) {
				return caller.ParseTokens(contents[0])
			},
		})
		if err := a.tokens.Err(); err != nil {
			return nil, config.Usage("--caller-tokens-file: %v", err)
		}
	}
	if c.HasTLS() {
		const flags = "--tls-cert, --tls-key, --tls-client-ca"
		a.tls = watch.New(follower, watch.Options[*caller.TLS]{
			Kind: "tls", Setting: flags, Paths: []string{c.TLSCert, c.TLSKey, c.TLSClientCA},
			Parse: func(contents [][]byte, _ *caller.TLS) (*caller.TLS, error) {
				return caller.ParseTLS(contents[0], contents[1], contents[2])
			},
		})
		if err := a.tls.Err(); err != nil {
			return nil, config.Usage(flags+": %v", err)
		}
	}
	if c.PolicyFile != "" {
		a.policy = watch.New(follower, watch.Options[*policy.Policy]{
			Kind: "policy", Setting: "--policy-file", Paths: []string{c.PolicyFile},
			Parse: func(contents [][]byte, last *policy.Policy) (*policy.Policy, error) {
				return cmp.Or(last, c.Policy()).Next(contents[0], idtoken.Options{Logger: log, Follower: follower})
			},
		})
		if err := a.policy.Err(); err != nil {
			return nil, config.Usage("--policy-file: %v", err)
		}
	}
	return a, nil
}

func (a *access) collectors() []prometheus.Collector {
	if a.tls == nil {
		return nil
	}
	return []prometheus.Collector{prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "chatidentity_tls_certificate_expiry_timestamp_seconds",
		Help: "When the certificate that listeners outside loopback show expires, in seconds since 1970.",
	}, func() float64 { return float64(a.tls.Load().ExpireTime().Unix()) })}
}

// apply makes the files the server's. Where there is no file there is no
// function, and the server does not ask.
func (a *access) apply(options *rpc.Options) {
	if a.tokens != nil {
		options.Callers.Tokens = a.tokens.Load
	}
	options.HasTLS = a.tls != nil
	if a.policy != nil {
		options.Policy = a.policy.Load
	}
}
