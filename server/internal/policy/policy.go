// Package policy is the policy file: which organizations there are, who proves users, and what each
// caller may do. It parses the file, explains it, and answers for each call.
package policy

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/idtoken"
)

// Policy is one version of a policy file. It never changes: a changed file makes another one. The
// zero value lets nobody do anything.
type Policy struct {
	Organizations map[string]Organization
	Issuers       map[string]*Issuer
	Callers       map[string]*Grant // by caller.Identity.String

	elsewhere func(organization string) bool
}

// Organization says where an organization's signing secret comes from, which is one of three
// sources, and which identifiers are signed.
type Organization struct {
	SecretFile  string
	SecretEnv   string // name of an environment variable
	APIKeyFile  string
	APIURL      string                     // with APIKeyFile; empty: the API's address of all organizations
	Identifiers *customer.IdentifierPolicy // nil: the policy of all organizations
	Line        int                        // in the file
}

// Issuer issues the ID tokens that prove who a caller's users are.
type Issuer struct {
	idtoken.Issuer

	verifier *idtoken.Verifier // nil until Next has readied it
}

var errNotReady = fmt.Errorf("%w: the policy has not been opened", idtoken.ErrUnavailable)

// Prove returns nil if a user's ID token proves every identifier that the customer has. Errors wrap
// idtoken.ErrUnproven, idtoken.ErrMismatch or idtoken.ErrUnavailable.
func (i *Issuer) Prove(ctx context.Context, token string, who customer.Customer) error {
	if i.verifier == nil {
		return errNotReady
	}
	return i.verifier.Prove(ctx, token, who)
}

// LoadKeys makes sure that the issuer's current keys are there. The error wraps
// idtoken.ErrUnavailable.
func (i *Issuer) LoadKeys(ctx context.Context) error {
	if i.verifier == nil {
		return errNotReady
	}
	return i.verifier.LoadKeys(ctx)
}

// Grant returns what the policy grants the caller of that name, and whether it names the caller at
// all.
func (p *Policy) Grant(caller string) (*Grant, bool) {
	grant, found := p.Callers[caller]
	return grant, found
}

// Next returns the policy of the file's new content, ready to serve; p itself may be the first
// version, as Parse returned it. Issuers that have not changed keep the keys that they have loaded;
// those that are no longer in the file stop following theirs. A change of the organizations is an
// error, and leaves p as it is.
func (p *Policy) Next(text []byte, options idtoken.Options) (*Policy, error) {
	next, err := Parse(text, p.elsewhere)
	if err != nil {
		return nil, err
	}
	if !maps.EqualFunc(p.Organizations, next.Organizations, Organization.equal) {
		return nil, errors.New("the organizations have changed: that takes a restart")
	}
	for name, issuer := range next.Issuers {
		if last := p.Issuers[name]; last != nil && last.Issuer == issuer.Issuer {
			issuer.verifier = last.verifier
		}
		if issuer.verifier != nil {
			continue
		}
		if issuer.verifier, err = idtoken.New(issuer.Issuer, options); err != nil {
			next.close(p)
			return nil, fmt.Errorf("issuer %s: %w", name, err)
		}
	}
	p.close(next)
	return next, nil
}

// close closes the issuers that the other policy does not go on with.
func (p *Policy) close(other *Policy) {
	for name, issuer := range p.Issuers {
		kept := other.Issuers[name]
		if issuer.verifier != nil && (kept == nil || kept.verifier != issuer.verifier) {
			issuer.verifier.Close()
		}
	}
}

// equal reports whether both say the same, on whatever lines.
func (o Organization) equal(other Organization) bool {
	signed := func(policy *customer.IdentifierPolicy) string {
		if policy == nil {
			return ""
		}
		return policy.String()
	}
	if signed(o.Identifiers) != signed(other.Identifiers) {
		return false
	}
	o.Identifiers, o.Line = other.Identifiers, other.Line
	return o == other
}
