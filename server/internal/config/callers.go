package config

import (
	"cmp"
	"os"

	"github.com/chatidentity/chatidentity/server/internal/caller"
	"github.com/chatidentity/chatidentity/server/internal/idtoken"
	"github.com/chatidentity/chatidentity/server/internal/policy"
	"github.com/chatidentity/chatidentity/server/internal/secret"
	"github.com/chatidentity/chatidentity/server/internal/watch"
)

// Admission returns who is let in, by the flags and the caller tokens, which may be nil.
func (s *Serve) Admission(tokens *watch.Value[*caller.Tokens]) caller.Admission {
	admission := caller.Admission{
		AllowRemote: s.AllowRemote,
		AllowedUIDs: s.AllowUID,
		OwnUID:      uint32(os.Getuid()), //nolint:gosec // a user ID has 32 bits
		OverflowUID: caller.OverflowUID(),
	}
	if tokens != nil {
		admission.Tokens = tokens.Load
	}
	return admission
}

// OpenCallerTokens returns the bearer tokens of callers; nil without --caller-tokens-file.
func (s *Serve) OpenCallerTokens(follower *watch.Follower) *watch.Value[*caller.Tokens] {
	return follow(follower, watch.Options[*caller.Tokens]{
		Kind: "caller_tokens", Setting: "--caller-tokens-file", Paths: []string{s.CallerTokensFile},
		Parse: func(contents [][]byte, _ *caller.Tokens) (*caller.Tokens, error) {
			return caller.ParseTokens(contents[0])
		},
	})
}

// OpenTLS returns the certificates of listeners outside loopback; nil without --tls-cert.
func (s *Serve) OpenTLS(follower *watch.Follower) *watch.Value[*caller.TLS] {
	return follow(follower, watch.Options[*caller.TLS]{
		Kind: "tls", Setting: "--tls-cert, --tls-key, --tls-client-ca", Paths: []string{s.TLSCert, s.TLSKey, s.TLSClientCA},
		Parse: func(contents [][]byte, _ *caller.TLS) (*caller.TLS, error) {
			return caller.ParseTLS(contents[0], contents[1], contents[2])
		},
	})
}

// OpenPolicy returns what each caller may do, with the organizations and their secrets; nil without
// --policy-file. Options give the log and what keeps the secrets current. Validate has been called
// before.
func (s *Serve) OpenPolicy(options secret.Options) *watch.Value[*policy.Policy] {
	none := policy.New(s.definesElsewhere)
	open := policy.Options{
		Issuers: idtoken.Options{
			Logger: options.Logger, Follower: options.Follower, Transport: newTransport(s.CAFile),
		},
		Check: s.checkPolicy,
		OpenSecret: func(name string, entry policy.Organization) (*secret.Store, error) {
			organization := s.organization(name, entry)
			return organization.Open(options)
		},
	}
	return follow(options.Follower, watch.Options[*policy.Policy]{
		Kind: "policy", Setting: "--policy-file", Paths: []string{s.PolicyFile},
		Parse: func(contents [][]byte, last *policy.Policy) (*policy.Policy, error) {
			next, err := cmp.Or(last, none).Next(contents[0], open)
			if err == nil {
				s.keepVariables(next)
			}
			return next, err
		},
	})
}

// follow returns the value of files without which nobody is let in; nil if none are configured.
func follow[T any](follower *watch.Follower, options watch.Options[T]) *watch.Value[T] {
	if options.Paths[0] == "" {
		return nil
	}
	options.Required = true
	return watch.New(follower, options)
}
