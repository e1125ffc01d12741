// Package policy is the policy file: which organizations there are, who proves users, and what each
// caller may do. It parses the file, explains it, and answers for each call.
package policy

import (
	"context"
	"fmt"

	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/idtoken"
	"github.com/chatidentity/chatidentity/server/internal/secret"
)

// Policy is one version of a policy file. It never changes: a changed file makes another one. The
// zero value lets nobody do anything.
type Policy struct {
	Organizations map[string]Organization
	Issuers       map[string]*Issuer
	Callers       map[string]*Grant // by caller.Identity.String

	elsewhere func(organization string) bool
}

// New returns what there is before the first file: nobody may do anything. Callers may also use the
// organizations for which elsewhere returns true, which the file need not define.
func New(elsewhere func(organization string) bool) *Policy { return &Policy{elsewhere: elsewhere} }

// Organization says where an organization's signing secret comes from, which is one of three
// sources, and which identifiers are signed.
type Organization struct {
	Source
	Identifiers *customer.IdentifierPolicy // nil: the policy of all organizations
	Line        int                        // in the file
	Secrets     *secret.Store              // nil until Next has opened it
}

// Source says where an organization's signing secret comes from. It is comparable with ==.
type Source struct {
	SecretFile string
	SecretEnv  string // name of an environment variable
	APIKeyFile string
	APIURL     string // with APIKeyFile; empty: the API's address of all organizations
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
// all. A policy that is nil grants nothing.
func (p *Policy) Grant(caller string) (*Grant, bool) {
	if p == nil {
		return nil, false
	}
	grant, found := p.Callers[caller]
	return grant, found
}
