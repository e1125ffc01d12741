package config

import (
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"

	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/kustomer"
	"github.com/chatidentity/chatidentity/server/internal/policy"
	"github.com/chatidentity/chatidentity/server/internal/secret"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
	"github.com/chatidentity/chatidentity/server/internal/watch"
)

// Organization is one whose tokens the sidecar can sign.
type Organization struct {
	SecretSource
	Identifiers customer.IdentifierPolicy
}

// Organizations returns those that Validate found: the default one first if the flags name its
// secret, then those of the policy file by name.
func (s *Serve) Organizations() []Organization { return s.organizations }

// Open returns the organization's secret.
func (o *Organization) Open(follower *watch.Follower, log *slog.Logger) (*secret.Store, error) {
	store, err := o.SecretSource.Open(follower, log)
	if err != nil && o.Place != "" {
		return nil, Usage("%s: %v", o.Place, err)
	}
	return store, err
}

// validateOrganizations finds out which organizations there are and where their secrets come from.
// The flags name the default one's, which may be left out when the policy file has organizations.
func (s *Serve) validateOrganizations() error {
	if err := s.SecretTimes.validate(); err != nil {
		return err
	}
	if err := s.readPolicy(); err != nil {
		return err
	}
	hasSource := len(s.Given()) > 0
	if hasSource || s.policy == nil || len(s.policy.Organizations) == 0 {
		if err := s.SecretSource.validate(); err != nil {
			return err
		}
		s.organizations = []Organization{{SecretSource: s.SecretSource, Identifiers: s.IdentifierPolicy}}
	}
	if s.policy == nil {
		return nil
	}
	if err := s.validateDefault(hasSource); err != nil {
		return err
	}
	return s.addPolicyOrganizations()
}

func (s *Serve) readPolicy() error {
	if s.PolicyFile == "" {
		return nil
	}
	text, err := watch.ReadFile(s.PolicyFile)
	if err != nil {
		return Usage("--policy-file: %v", err)
	}
	elsewhere := func(organization string) bool {
		return len(s.Given()) > 0 && organization == cmp.Or(s.Organization, defaultOrganization)
	}
	if s.policy, err = policy.Parse(text, elsewhere); err != nil {
		return Usage("--policy-file %s: %v", s.PolicyFile, err)
	}
	return nil
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

func (s *Serve) addPolicyOrganizations() error {
	for _, name := range slices.Sorted(maps.Keys(s.policy.Organizations)) {
		entry := s.policy.Organizations[name]
		organization := s.organization(name, entry)
		organization.Place = fmt.Sprintf("--policy-file %s, line %d, organization %s", s.PolicyFile, entry.Line, name)
		if entry.SecretEnv != "" && organization.Secrets.SecretKey.Value.IsEmpty() {
			return Usage("%s: the environment variable %s is not set or empty", organization.Place, entry.SecretEnv)
		}
		if _, err := kustomer.ParseBaseURL(organization.APIURL, name); err != nil && organization.UsesAPI() {
			return Usage("%s: the API's URL: %v", organization.Place, err)
		}
		s.organizations = append(s.organizations, organization)
	}
	for _, entry := range s.policy.Organizations { // only now: two may name the same variable
		if entry.SecretEnv != "" {
			_ = os.Unsetenv(entry.SecretEnv) // fails only for malformed names
		}
	}
	return nil
}

// organization returns one of the policy file's. Its source holds what its own entry says and what
// applies to all, never anything of the flags' source.
func (s *Serve) organization(name string, entry policy.Organization) Organization {
	organization := Organization{
		SecretSource: SecretSource{
			Organization: name,
			SecretFile:   entry.SecretFile,
			APIKeyFile:   entry.APIKeyFile,
			APIURL:       cmp.Or(entry.APIURL, s.APIURL),
			SecretTimes:  s.SecretTimes,
		},
		Identifiers: s.IdentifierPolicy,
	}
	if entry.SecretEnv != "" {
		organization.Secrets.SecretKey = Variable{entry.SecretEnv, sensitive.New(os.Getenv(entry.SecretEnv))}
	}
	if entry.Identifiers != nil {
		organization.Identifiers = *entry.Identifiers
	}
	return organization
}
