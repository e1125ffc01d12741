package main

import (
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chatidentity/chatidentity/server/internal/caller"
	"github.com/chatidentity/chatidentity/server/internal/config"
	"github.com/chatidentity/chatidentity/server/internal/idtoken"
	"github.com/chatidentity/chatidentity/server/internal/rpc"
	"github.com/chatidentity/chatidentity/server/internal/watch"
)

// access is the files that say who may call and what each caller may do. They are
// followed: a call sees one state of each.
type access struct {
	tokens *watch.Value[*caller.Tokens] // nil: none are configured
	tls    *watch.Value[*caller.TLS]
	policy *watch.Value[*policy]
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
		a.policy = watch.New(follower, watch.Options[*policy]{
			Kind: "policy", Setting: "--policy-file", Paths: []string{c.PolicyFile},
			Parse: func(contents [][]byte, last *policy) (*policy, error) {
				return newPolicy(c, log, contents[0], last)
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
		options.Policy = func() *rpc.Policy { return &a.policy.Load().grants }
	}
}

// policy is a policy file as the server uses it.
type policy struct {
	grants    rpc.Policy
	issuers   map[string]idtoken.Issuer
	verifiers map[string]*idtoken.Verifier
}

// newPolicy makes a policy of a file. Issuers that have not changed keep the keys
// that they have loaded.
func newPolicy(c *config.Serve, log *slog.Logger, text []byte, last *policy) (*policy, error) {
	file, err := c.ParseChangedPolicy(text)
	if err != nil {
		return nil, err
	}
	p := &policy{grants: rpc.Policy{Grants: map[string]*rpc.Grant{}}, issuers: file.Issuers, verifiers: map[string]*idtoken.Verifier{}}
	for name, issuer := range file.Issuers {
		if last != nil && last.issuers[name] == issuer {
			p.verifiers[name] = last.verifiers[name]
			continue
		}
		if p.verifiers[name], err = idtoken.New(issuer, idtoken.Options{Logger: log}); err != nil {
			return nil, config.Usage("issuer %s: %v", name, err)
		}
	}
	for name, granted := range file.Callers {
		grant := &rpc.Grant{Grant: granted.Grant, Limit: granted.Limit}
		if granted.Proof != "" {
			grant.Proof = p.verifiers[granted.Proof]
		}
		p.grants.Grants[name] = grant
	}
	return p, nil
}
