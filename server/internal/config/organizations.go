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

// Organizations returns the default one first if the flags name its secret, then those of the policy,
// which may be nil, by name.
func (s *Serve) Organizations(p *policy.Policy) []Organization {
	var all []Organization
	if own := s.OwnOrganization(); own != nil {
		all = append(all, *own)
	}
	if p != nil {
		for _, name := range slices.Sorted(maps.Keys(p.Organizations)) {
			all = append(all, s.organization(name, p.Organizations[name]))
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

// validateOrganizations checks what the flags say of secrets. They name the default organization's,
// which may be left out when there is a policy file: that has organizations too.
func (s *Serve) validateOrganizations() error {
	if err := s.SecretTimes.validate(); err != nil {
		return err
	}
	if len(s.Given()) > 0 || s.PolicyFile == "" {
		if err := s.SecretSource.validate(); err != nil {
			return err
		}
	}
	s.Organization = cmp.Or(s.Organization, defaultOrganization)
	return nil
}

// definesElsewhere reports whether the flags define an organization, so that a policy need not.
func (s *Serve) definesElsewhere(organization string) bool {
	return len(s.Given()) > 0 && organization == s.Organization
}

// policyNow returns what the policy file says, and opens nothing; nil without a file, or while it is
// missing or wrong.
func (s *Serve) policyNow() *policy.Policy {
	if s.PolicyFile == "" {
		return nil
	}
	text, err := watch.ReadFile(s.PolicyFile)
	if err != nil {
		return nil
	}
	now, err := policy.Parse(text, s.definesElsewhere)
	if err != nil {
		return nil
	}
	return now
}

// checkPolicy returns why the organizations of a policy file, the first or a changed one, do not go
// together with the flags and the environment.
func (s *Serve) checkPolicy(p *policy.Policy) error {
	hasSource := len(s.Given()) > 0
	_, found := p.Organizations[s.Organization]
	switch {
	case hasSource && found:
		return fmt.Errorf("--organization %s is in it too: give its secret in one place", s.Organization)
	case !hasSource && !found && s.Organization != defaultOrganization:
		return fmt.Errorf("--organization %s is not in it, and no flag gives its secret", s.Organization)
	case !hasSource && len(p.Organizations) == 0:
		return errors.New("it has no organization, and no flag gives the secret of one: add one, or give --secret-file")
	}
	return s.checkSources(p.Organizations)
}

// checkSources returns why the source of an organization's secret cannot be used.
func (s *Serve) checkSources(organizations map[string]policy.Organization) error {
	for _, name := range slices.Sorted(maps.Keys(organizations)) {
		entry := organizations[name]
		organization := s.organization(name, entry)
		if variable := organization.Secrets.SecretKey; variable.Name != "" && !variable.isSet() {
			// Its name is not repeated: somebody may have written the secret in its place.
			return fmt.Errorf("line %d, organization %s: secret_env names a variable that is not set or empty",
				entry.Line, name)
		}
		if _, err := kustomer.ParseBaseURL(organization.APIURL, name); err != nil && organization.UsesAPI() {
			return fmt.Errorf("line %d, organization %s: the API's URL: %w", entry.Line, name, err)
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
			CAFile:       s.CAFile,
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
