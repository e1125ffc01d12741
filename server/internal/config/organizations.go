package config

import (
	"cmp"
	"log/slog"
	"os"

	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/secret"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

// validateOrganizations reads the policy file, if there is one, and checks where
// the secrets come from: the flags' source is the default organization's, and may
// be left out when the policy has organizations.
func (s *Serve) validateOrganizations(secrets Secrets) error {
	if err := s.validateTimes(); err != nil {
		return err
	}
	if s.PolicyFile == "" {
		return s.Source.validate(secrets)
	}
	text, err := ReadFile(s.PolicyFile)
	if err != nil {
		return Usage("--policy-file: %v", err)
	}
	hasSource := len(s.sources(secrets)) > 0
	if s.policy, err = s.parsePolicy(text, hasSource); err != nil {
		return Usage("--policy-file %s: %v", s.PolicyFile, err)
	}
	if hasSource || len(s.policy.Organizations) == 0 {
		if err := s.Source.validate(secrets); err != nil {
			return err
		}
	}
	return s.validateDefault(hasSource)
}

// validateDefault settles which organization is the default one, if any is.
func (s *Serve) validateDefault(hasSource bool) error {
	if _, found := s.policy.Organizations[defaultOrganization]; found {
		s.Organization = cmp.Or(s.Organization, defaultOrganization)
	}
	_, found := s.policy.Organizations[s.Organization]
	switch {
	case hasSource && found:
		return Usage("--organization %s is in --policy-file too: give its secret in one place", s.Organization)
	case !hasSource && s.Organization != "" && !found:
		return Usage("--organization %s is not in --policy-file, and no flag gives its secret", s.Organization)
	default:
		return nil
	}
}

func (s *Serve) parsePolicy(text []byte, hasSource bool) (*Policy, error) {
	return ParsePolicy(text, func(organization string) bool {
		return hasSource && organization == cmp.Or(s.Organization, defaultOrganization)
	})
}

// ParseChangedPolicy reads a new content of the policy file. Its organizations
// must be those of the start.
func (s *Serve) ParseChangedPolicy(text []byte, secrets Secrets) (*Policy, error) {
	policy, err := s.parsePolicy(text, len(s.sources(secrets)) > 0)
	if err != nil {
		return nil, err
	}
	if err := policy.sameOrganizations(s.policy); err != nil {
		return nil, err
	}
	return policy, nil
}

// Organization is one whose tokens can be signed.
type Organization struct {
	*secret.Store
	Identifiers *customer.IdentifierPolicy // nil: --identifier-policy
}

// OpenOrganizations opens the secrets: that of the flags first, then those of the
// policy file by name. Validate has been called before.
func (s *Serve) OpenOrganizations(secrets Secrets, log *slog.Logger) ([]Organization, error) {
	var organizations []Organization
	if len(s.sources(secrets)) > 0 {
		store, err := s.Source.Open(secrets, log)
		if err != nil {
			return nil, err
		}
		organizations = append(organizations, Organization{Store: store})
	}
	if s.policy == nil {
		return organizations, nil
	}
	for _, name := range s.policy.organizationNames() {
		entry := s.policy.Organizations[name]
		store, err := s.openEntry(name, entry, log)
		if err != nil {
			return nil, Usage("--policy-file %s, line %d, organization %s: %v", s.PolicyFile, entry.line, name, err)
		}
		organizations = append(organizations, Organization{store, entry.Identifiers})
	}
	s.forgetSecrets()
	return organizations, nil
}

func (s *Serve) openEntry(name string, entry PolicyOrganization, log *slog.Logger) (*secret.Store, error) {
	source := s.Source
	source.Organization, source.SecretFile, source.APIKeyFile = name, entry.SecretFile, entry.APIKeyFile
	source.APIURL = cmp.Or(entry.APIURL, s.APIURL)
	var secrets Secrets
	if entry.SecretEnv != "" {
		value, given := os.LookupEnv(entry.SecretEnv)
		if !given || value == "" {
			return nil, Usage("the environment variable %s is not set or empty", entry.SecretEnv)
		}
		secrets.SecretKey = sensitive.New(value)
	}
	return source.Open(secrets, log)
}

// forgetSecrets removes the secrets of the policy's organizations from the
// environment.
func (s *Serve) forgetSecrets() {
	for _, entry := range s.policy.Organizations {
		if entry.SecretEnv != "" {
			_ = os.Unsetenv(entry.SecretEnv) // fails for malformed names alone
		}
	}
}
