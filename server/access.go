package main

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chatidentity/chatidentity/server/internal/caller"
	"github.com/chatidentity/chatidentity/server/internal/config"
	"github.com/chatidentity/chatidentity/server/internal/idtoken"
	"github.com/chatidentity/chatidentity/server/internal/rpc"
)

// access is the files that say who may call and what each caller may do. They are
// followed: a call sees one state of each.
type access struct {
	tokens *config.Live[caller.Tokens] // nil: none are configured
	tls    *config.Live[caller.TLS]
	policy *config.Live[policy]

	followed   []config.Followed
	collectors []prometheus.Collector
	wake       chan struct{} // holds at most one request to look at the files
}

func openAccess(c *config.Serve, log *slog.Logger) (*access, error) {
	a := &access{wake: make(chan struct{}, 1)}
	var err error
	if c.CallerTokensFile != "" {
		a.tokens, err = config.OpenLive("--caller-tokens-file", "caller_tokens", log,
			func(contents [][]byte, _ *caller.Tokens) (*caller.Tokens, error) {
				return caller.ParseTokens(contents[0])
			},
			c.CallerTokensFile)
		if err != nil {
			return nil, err
		}
		a.follow(a.tokens)
	}
	if c.HasTLS() {
		a.tls, err = config.OpenLive("--tls-cert, --tls-key, --tls-client-ca", "tls", log,
			func(contents [][]byte, _ *caller.TLS) (*caller.TLS, error) {
				return caller.ParseTLS(contents[0], contents[1], contents[2])
			},
			c.TLSCert, c.TLSKey, c.TLSClientCA)
		if err != nil {
			return nil, err
		}
		a.follow(a.tls)
		a.collectors = append(a.collectors, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "chatidentity_tls_certificate_expiry_timestamp_seconds",
			Help: "When the certificate that listeners outside loopback show expires, in seconds since 1970.",
		}, func() float64 { return float64(a.tls.Value().ExpireTime().Unix()) }))
	}
	if c.PolicyFile != "" {
		a.policy, err = config.OpenLive("--policy-file", "policy", log,
			func(contents [][]byte, last *policy) (*policy, error) {
				return newPolicy(c, log, contents[0], last)
			},
			c.PolicyFile)
		if err != nil {
			return nil, err
		}
		a.follow(a.policy)
	}
	return a, nil
}

// followable is a Live of any type, with its metric.
type followable interface {
	config.Followed
	Collector() prometheus.Collector
}

func (a *access) follow(file followable) {
	a.followed = append(a.followed, file)
	a.collectors = append(a.collectors, file.Collector())
}

// run follows the files until the context ends.
func (a *access) run(ctx context.Context, log *slog.Logger) {
	if len(a.followed) > 0 {
		config.Follow(ctx, log, a.wake, a.followed...)
	}
}

// refresh asks for a look at the files now.
func (a *access) refresh() {
	select {
	case a.wake <- struct{}{}:
	default: // one is waiting already
	}
}

// apply makes the files the server's. Where there is no file there is no
// function, and the server does not ask.
func (a *access) apply(options *rpc.Options) {
	if a.tokens != nil {
		options.Callers.Tokens = a.tokens.Value
	}
	options.HasTLS = a.tls != nil
	if a.policy != nil {
		options.Policy = func() *rpc.Policy { return &a.policy.Value().grants }
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
