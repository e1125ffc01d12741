package policy

import (
	"regexp"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v4"

	"github.com/chatidentity/chatidentity/server/internal/caller"
	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
)

// Names of organizations and issuers are labels of metrics, and audit records hold them whole.
var (
	namePattern = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	})
	variablePattern = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^[A-Z_][A-Z0-9_]{0,63}$`)
	})
)

// Parse reads a policy file. Unknown and duplicate keys, wrong types, and names that the file does
// not define are errors with line and column. Callers may also use organizations that the file does
// not define if elsewhere returns true for them.
func Parse(text []byte, elsewhere func(organization string) bool) (*Policy, error) {
	root, err := parseYAML(text)
	if err != nil {
		return nil, err
	}
	p := parser{&Policy{
		Organizations: map[string]Organization{},
		Issuers:       map[string]*Issuer{},
		Callers:       map[string]*Grant{},
		elsewhere:     elsewhere,
	}}
	var callers *yaml.Node
	err = readFields(root, map[string]reader{
		"organizations": func(node *yaml.Node) error { return readEntries(node, p.organization) },
		"issuers":       func(node *yaml.Node) error { return readEntries(node, p.issuer) },
		"callers": func(node *yaml.Node) error {
			callers = node // read last: they refer to the others
			return nil
		},
	})
	switch {
	case err != nil:
		return nil, err
	case callers == nil:
		return nil, at(root, "callers is missing, so nobody could call")
	case callers.Kind == yaml.MappingNode && len(callers.Content) == 0: // callers: {} is nobody
		return p.policy, nil
	}
	if err := readEntries(callers, p.caller); err != nil {
		return nil, err
	}
	return p.policy, nil
}

type parser struct{ policy *Policy }

func (p parser) organization(key, value *yaml.Node) error {
	if err := checkName(key); err != nil {
		return err
	}
	organization := Organization{Line: key.Line}
	err := readFields(value, map[string]reader{
		"secret_file":  text(&organization.SecretFile),
		"secret_env":   text(&organization.SecretEnv),
		"api_key_file": text(&organization.APIKeyFile),
		"api_url":      text(&organization.APIURL),
		"identifiers":  identifiers(&organization.Identifiers),
	})
	if err != nil {
		return err
	}
	if organization.SecretEnv != "" && !variablePattern().MatchString(organization.SecretEnv) { // may be a secret
		return at(key, "secret_env must be the name of an environment variable, not its value: "+
			"1 to 64 capital letters, digits and underscores, the first no digit")
	}
	sources := []string{organization.SecretFile, organization.SecretEnv, organization.APIKeyFile}
	if given := slices.DeleteFunc(sources, func(source string) bool { return source == "" }); len(given) != 1 {
		return at(key, "the organization needs exactly one of secret_file, secret_env and api_key_file")
	}
	if organization.APIURL != "" && organization.APIKeyFile == "" {
		return at(key, "api_url is only used with api_key_file")
	}
	p.policy.Organizations[key.Value] = organization
	return nil
}

func (p parser) issuer(key, value *yaml.Node) error {
	if err := checkName(key); err != nil {
		return err
	}
	issuer := new(Issuer)
	err := readFields(value, map[string]reader{
		"issuer":      text(&issuer.Issuer.Issuer),
		"audience":    text(&issuer.Audience),
		"jwks_file":   text(&issuer.JWKSFile),
		"jwks_url":    text(&issuer.JWKSURL),
		"max_age":     duration(&issuer.MaxAge),
		"external_id": text(&issuer.ExternalIDClaim),
		"email":       text(&issuer.EmailClaim),
	})
	if err != nil {
		return err
	}
	if err := issuer.Check(); err != nil {
		return at(key, "%v", err)
	}
	p.policy.Issuers[key.Value] = issuer
	return nil
}

func checkName(key *yaml.Node) error {
	if !namePattern().MatchString(key.Value) {
		return at(key, "%q must be 1 to 64 letters, digits, dots, hyphens and underscores", key.Value)
	}
	return nil
}

func (p parser) caller(key, value *yaml.Node) error {
	if err := caller.ParseName(key.Value); err != nil {
		return at(key, "%v", err)
	}
	grant := &Grant{Methods: defaultMethods(), line: key.Line}
	err := readFields(value, map[string]reader{
		"organizations": func(node *yaml.Node) error { return p.grantOrganizations(grant, node) },
		"methods":       func(node *yaml.Node) error { return grantMethods(grant, node) },
		"identifiers":   identifiers(&grant.Identifiers),
		"limits": func(node *yaml.Node) error {
			return readFields(node, map[string]reader{"caller": rate(&grant.Limit)})
		},
		"proof": func(node *yaml.Node) error { return p.demandProof(grant, node) },
	})
	if err != nil {
		return err
	}
	if !grant.AllOrganizations && grant.Organizations == nil {
		return at(key, "organizations is missing: list those that the caller may use, or write all")
	}
	p.policy.Callers[key.Value] = grant
	return nil
}

func (p parser) grantOrganizations(grant *Grant, node *yaml.Node) error {
	if isText(node) && node.Value == "all" {
		grant.AllOrganizations = true
		return nil
	}
	var err error
	grant.Organizations, err = texts(node, func(item *yaml.Node) error {
		if _, found := p.policy.Organizations[item.Value]; !found && !p.policy.elsewhere(item.Value) {
			return at(item, "unknown organization %q", item.Value)
		}
		return nil
	})
	return err
}

func grantMethods(grant *Grant, node *yaml.Node) error {
	var err error
	grant.Methods, err = texts(node, func(item *yaml.Node) error {
		if !slices.Contains(Methods(), item.Value) {
			return at(item, "unknown method %q; known methods: %s", item.Value, strings.Join(Methods(), ", "))
		}
		return nil
	})
	return err
}

func (p parser) demandProof(grant *Grant, node *yaml.Node) error {
	var name string
	if err := text(&name)(node); err != nil {
		return err
	}
	issuer, found := p.policy.Issuers[name]
	if !found {
		return at(node, "unknown issuer %q", name)
	}
	grant.Proof = issuer
	return nil
}

func identifiers(into **customer.IdentifierPolicy) reader {
	return func(node *yaml.Node) error {
		*into = new(customer.IdentifierPolicy)
		return parsed(*into)(node)
	}
}

func rate(into **ratelimit.Rate) reader {
	return func(node *yaml.Node) error {
		*into = new(ratelimit.Rate)
		return parsed(*into)(node)
	}
}
