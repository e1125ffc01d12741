package config

import (
	"cmp"
	"errors"
	"fmt"
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
func (s *Serve) Organizations() []Organization {
	var all []Organization
	if own := s.OwnOrganization(); own != nil {
		all = append(all, *own)
	}
	if s.policy != nil {
		for _, name := range slices.Sorted(maps.Keys(s.policy.Organizations)) {
			all = append(all, s.organization(name, s.policy.Organizations[name]))
		}
	}
	return all
}

// OwnOrganization returns the default organization if the flags name its secret, else nil.
func (s *Serve) OwnOrganization() *Organization {
	if len(s.Given()) == 0 {
		return nil
	}
	return &Organization{SecretSource: s.SecretSource, Identifiers: s.IdentifierPolicy}
}

// Open returns the organization's secret. Options give what keeps it current; see SecretSource.Open.
func (o *Organization) Open(options secret.Options) (*secret.Store, error) {
	store, err := o.SecretSource.Open(options)
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
	if len(s.Given()) > 0 || s.policy == nil || len(s.policy.Organizations) == 0 {
		if err := s.SecretSource.validate(); err != nil {
			return err
		}
	}
	if s.policy != nil {
		if err := s.checkPolicy(s.policy); err != nil {
			return Usage("%v", err)
		}
		s.keepVariables(s.policy)
	}
	s.Organization = cmp.Or(s.Organization, defaultOrganization)
	return nil
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

// checkPolicy returns why the organizations of a policy file, the first or a changed one, do not go
// together with the flags and the environment.
func (s *Serve) checkPolicy(p *policy.Policy) error {
	hasSource := len(s.Given()) > 0
	_, found := p.Organizations[s.Organization]
	switch {
	case hasSource && found:
		return fmt.Errorf("--organization %s is in --policy-file too: give its secret in one place", s.Organization)
	case !hasSource && !found && s.Organization != "" && s.Organization != defaultOrganization:
		return fmt.Errorf("--organization %s is not in --policy-file, and no flag gives its secret", s.Organization)
	case !hasSource && len(p.Organizations) == 0:
		return errors.New("--policy-file has no organization, and no flag gives the secret of one")
	}
	for _, name := range slices.Sorted(maps.Keys(p.Organizations)) {
		organization := s.organization(name, p.Organizations[name])
		if variable := organization.Secrets.SecretKey; variable.Name != "" && !variable.isSet() {
			return fmt.Errorf("%s: the environment variable %s is not set or empty", organization.Place, variable.Name)
		}
		if _, err := kustomer.ParseBaseURL(organization.APIURL, name); err != nil && organization.UsesAPI() {
			return fmt.Errorf("%s: the API's URL: %w", organization.Place, err)
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
			Place:        fmt.Sprintf("--policy-file %s, line %d, organization %s", s.PolicyFile, entry.Line, name),
		},
		Identifiers: s.IdentifierPolicy,
	}
	if entry.SecretEnv != "" {
		organization.Secrets.SecretKey = Variable{entry.SecretEnv, s.variable(entry.SecretEnv)}
	}
	if entry.Identifiers != nil {
		organization.Identifiers = *entry.Identifiers
	}
	return organization
}

// variable returns the value of an environment variable that holds an organization's secret.
func (s *Serve) variable(name string) sensitive.String {
	if value, held := s.variables[name]; held {
		return value
	}
	return secret.Text(os.Getenv(name))
}

// keepVariables takes the variables that the policy names out of the environment, and forgets those
// that it no longer names. They do not come back without a restart.
func (s *Serve) keepVariables(p *policy.Policy) {
	kept := map[string]sensitive.String{}
	for _, entry := range p.Organizations {
		if entry.SecretEnv != "" {
			kept[entry.SecretEnv] = s.variable(entry.SecretEnv)
		}
	}
	for name := range kept {
		_ = os.Unsetenv(name) // fails only for malformed names
	}
	s.variables = kept
}
