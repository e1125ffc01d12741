package policy

import (
	"fmt"
	"maps"
	"slices"

	"github.com/chatidentity/chatidentity/server/internal/idtoken"
	"github.com/chatidentity/chatidentity/server/internal/secret"
)

// Options say how Next readies a policy. The zero value opens issuers alone.
type Options struct {
	Issuers idtoken.Options
	// Check returns what else is wrong with the policy, such as an organization that the flags
	// define too. Nil: nothing is.
	Check func(*Policy) error
	// OpenSecret returns the signing secret of an organization that is new, or whose source has
	// changed. Nil: none is opened.
	OpenSecret func(name string, organization Organization) (*secret.Store, error)
}

// Next returns the policy of the file's new content, ready to serve; p itself may be the first
// version, as Parse returned it. Issuers and organizations that have not changed keep their keys and
// secrets; those that are no longer in the file let go of theirs, and so does an organization whose
// secret now has another source. An error leaves p as it is; one of an issuer's keys wraps a
// watch.NamedFileError.
func (p *Policy) Next(text []byte, options Options) (*Policy, error) {
	next, err := Parse(text, p.elsewhere)
	if err != nil {
		return nil, err
	}
	if options.Check != nil {
		if err := options.Check(next); err != nil {
			return nil, err
		}
	}
	next.takeOver(p)
	if err := next.open(options); err != nil {
		next.close(p)
		return nil, err
	}
	p.close(next)
	return next, nil
}

// takeOver gives the policy what the last version has opened and has not changed.
func (p *Policy) takeOver(last *Policy) {
	for name, issuer := range p.Issuers {
		if before := last.Issuers[name]; before != nil && before.Issuer == issuer.Issuer {
			issuer.verifier = before.verifier
		}
	}
	for name, organization := range p.Organizations {
		if before, found := last.Organizations[name]; found && before.Source == organization.Source {
			organization.Secrets = before.Secrets
			p.Organizations[name] = organization
		}
	}
}

// open opens what the policy has not taken over.
func (p *Policy) open(options Options) error {
	var err error
	for _, name := range slices.Sorted(maps.Keys(p.Issuers)) { // the same policy is wrong in the same words
		issuer := p.Issuers[name]
		if issuer.verifier != nil {
			continue
		}
		if issuer.verifier, err = idtoken.New(issuer.Issuer, options.Issuers); err != nil {
			return fmt.Errorf("issuer %s: %w", name, err)
		}
	}
	for name, organization := range p.Organizations {
		if organization.Secrets != nil || options.OpenSecret == nil {
			continue
		}
		if organization.Secrets, err = options.OpenSecret(name, organization); err != nil {
			return err
		}
		p.Organizations[name] = organization
	}
	return nil
}

// close closes what the other policy does not go on with.
func (p *Policy) close(other *Policy) {
	for name, issuer := range p.Issuers {
		kept := other.Issuers[name]
		if issuer.verifier != nil && (kept == nil || kept.verifier != issuer.verifier) {
			issuer.verifier.Close()
		}
	}
	for name, organization := range p.Organizations {
		if organization.Secrets != nil && other.Organizations[name].Secrets != organization.Secrets {
			organization.Secrets.Close()
		}
	}
}
