package config

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/chatidentity/chatidentity/server/internal/caller"
	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/idtoken"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
)

// Policy is a policy file: which organizations there are, and what each caller
// may do. Who is not in it may do nothing.
type Policy struct {
	Organizations map[string]PolicyOrganization
	Issuers       map[string]idtoken.Issuer
	Callers       map[string]*PolicyCaller // by caller.Identity.String
}

// PolicyOrganization says where an organization's signing secret comes from:
// from one of the three.
type PolicyOrganization struct {
	SecretFile  string
	SecretEnv   string // name of an environment variable
	APIKeyFile  string
	APIURL      string                     // with APIKeyFile; empty: --api-url
	Identifiers *customer.IdentifierPolicy // nil: --identifier-policy
	line        int
}

// PolicyCaller is what one caller may do.
type PolicyCaller struct {
	caller.Grant
	Limit *ratelimit.Rate // nil: --limit-caller
	Proof string          // name of the issuer of its users' ID tokens; empty: none is demanded
	Line  int             // in the file
}

// policyName is what organizations and issuers may be called: a label of a metric, and
// whole in an audit record.
var policyName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// ParsePolicy reads a policy file. Unknown and duplicate keys, wrong types and
// names that are nowhere explained are errors with line and column. Callers may
// also use the organizations of elsewhere, which reports whether there is one.
func ParsePolicy(text []byte, elsewhere func(organization string) bool) (*Policy, error) {
	root, err := parseYAML(text)
	if err != nil {
		return nil, err
	}
	p := policyParser{policy: Policy{
		Organizations: map[string]PolicyOrganization{}, Issuers: map[string]idtoken.Issuer{}, Callers: map[string]*PolicyCaller{},
	}, elsewhere: elsewhere}
	var callers *yaml.Node // read last: they name the others
	err = readFields(root, map[string]reader{
		"organizations": p.organizations,
		"issuers":       p.issuers,
		"callers": func(node *yaml.Node) error {
			callers = node
			return nil
		},
	})
	switch {
	case err != nil:
		return nil, err
	case callers == nil:
		return nil, at(root, "callers is missing: nobody could call")
	}
	if len(callers.Content) == 0 && callers.Kind == yaml.MappingNode { // callers: {} is nobody
		return &p.policy, nil
	}
	if err := readEntries(callers, p.caller); err != nil {
		return nil, err
	}
	return &p.policy, nil
}

type policyParser struct {
	policy    Policy
	elsewhere func(string) bool
}

func (p *policyParser) organizations(node *yaml.Node) error {
	return readEntries(node, func(key, value *yaml.Node) error {
		if !policyName.MatchString(key.Value) {
			return at(key, "%q must be 1 to 64 letters, digits, dots, hyphens and underscores", key.Value)
		}
		organization := PolicyOrganization{line: key.Line}
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
		sources := 0
		for _, given := range []string{organization.SecretFile, organization.SecretEnv, organization.APIKeyFile} {
			if given != "" {
				sources++
			}
		}
		if organization.SecretEnv != "" && !variableName.MatchString(organization.SecretEnv) {
			return at(key, "secret_env must be the name of an environment variable, not its value")
		}
		if sources != 1 {
			return at(key, "the organization needs exactly one of secret_file, secret_env and api_key_file")
		}
		if organization.APIURL != "" && organization.APIKeyFile == "" {
			return at(key, "api_url has no use without api_key_file")
		}
		p.policy.Organizations[key.Value] = organization
		return nil
	})
}

func (p *policyParser) issuers(node *yaml.Node) error {
	return readEntries(node, func(key, value *yaml.Node) error {
		if !policyName.MatchString(key.Value) {
			return at(key, "%q must be 1 to 64 letters, digits, dots, hyphens and underscores", key.Value)
		}
		var issuer idtoken.Issuer
		err := readFields(value, map[string]reader{
			"issuer":      text(&issuer.Issuer),
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
	})
}

func (p *policyParser) caller(key, value *yaml.Node) error {
	if err := caller.ParseName(key.Value); err != nil {
		return at(key, "%v", err)
	}
	granted := &PolicyCaller{Grant: caller.Grant{Methods: caller.Methods()}, Line: key.Line}
	err := readFields(value, map[string]reader{
		"organizations": func(node *yaml.Node) error { return p.grantOrganizations(granted, node) },
		"methods":       func(node *yaml.Node) error { return grantMethods(granted, node) },
		"identifiers":   identifiers(&granted.Identifiers),
		"limits": func(node *yaml.Node) error {
			return readFields(node, map[string]reader{"caller": rate(&granted.Limit)})
		},
		"proof": func(node *yaml.Node) error { return p.demandProof(granted, node) },
	})
	if err != nil {
		return err
	}
	if !granted.AllOrganizations && granted.Organizations == nil {
		return at(key, "organizations is missing: list those that the caller may use, or write all")
	}
	p.policy.Callers[key.Value] = granted
	return nil
}

func (p *policyParser) grantOrganizations(granted *PolicyCaller, node *yaml.Node) error {
	if isText(node) && node.Value == "all" {
		granted.AllOrganizations = true
		return nil
	}
	var err error
	granted.Organizations, err = texts(node, func(item *yaml.Node) error {
		if _, found := p.policy.Organizations[item.Value]; !found && !p.elsewhere(item.Value) {
			return at(item, "there is no organization %q", item.Value)
		}
		return nil
	})
	return err
}

func grantMethods(granted *PolicyCaller, node *yaml.Node) error {
	var err error
	granted.Methods, err = texts(node, func(item *yaml.Node) error {
		if !slices.Contains(caller.Methods(), item.Value) {
			return at(item, "there is no method %q: there are %s", item.Value, strings.Join(caller.Methods(), ", "))
		}
		return nil
	})
	return err
}

func (p *policyParser) demandProof(granted *PolicyCaller, node *yaml.Node) error {
	if err := text(&granted.Proof)(node); err != nil {
		return err
	}
	if _, found := p.policy.Issuers[granted.Proof]; !found {
		return at(node, "there is no issuer %q", granted.Proof)
	}
	return nil
}

func identifiers(into **customer.IdentifierPolicy) reader {
	*into = nil
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

// sameOrganizations returns nil if both policies have the same organizations.
// Their secrets are opened once, at the start.
func (p *Policy) sameOrganizations(other *Policy) error {
	plain := func(o PolicyOrganization) string {
		identifiers := ""
		if o.Identifiers != nil {
			identifiers = o.Identifiers.String()
		}
		return fmt.Sprintf("%q %q %q %q %q", o.SecretFile, o.SecretEnv, o.APIKeyFile, o.APIURL, identifiers)
	}
	same := func(a, b PolicyOrganization) bool { return plain(a) == plain(b) }
	if !maps.EqualFunc(p.Organizations, other.Organizations, same) {
		return errors.New("the organizations have changed: that takes a restart")
	}
	return nil
}

// organizationNames returns the names in order.
func (p *Policy) organizationNames() []string {
	return slices.Sorted(maps.Keys(p.Organizations))
}
