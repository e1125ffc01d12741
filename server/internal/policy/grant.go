package policy

import (
	"context"
	"slices"

	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
)

// Grant is what one caller may do. The zero value lets it do nothing.
type Grant struct {
	AllOrganizations bool
	Organizations    []string // when not all
	AllMethods       bool     // including those of later versions; no policy file can say so
	Methods          []string // when not all, such as "IssueToken"

	Identifiers *customer.IdentifierPolicy // nil: the organization's own
	Limit       *ratelimit.Rate            // nil: that of all callers
	Proof       Proof                      // nil: the caller's word says who the user is

	line int // in the file
}

// Proof verifies a user's own ID token.
type Proof interface {
	// Prove returns nil if the token proves every identifier that the customer has. Errors wrap
	// idtoken.ErrUnproven, idtoken.ErrMismatch or idtoken.ErrUnavailable.
	Prove(ctx context.Context, token string, who customer.Customer) error
}

// MayCall reports whether the caller may use the method.
func (g *Grant) MayCall(method string) bool {
	return g.AllMethods || slices.Contains(g.Methods, method)
}

// MayUse reports whether the caller may use the organization.
func (g *Grant) MayUse(organization string) bool {
	return g.AllOrganizations || slices.Contains(g.Organizations, organization)
}

// Methods returns the methods that a policy file can name: every RPC of ChatIdentityService.
func Methods() []string { return []string{"IssueToken", "VerifyToken"} }

// defaultMethods returns the methods of a caller for which the file lists none. It never grows: a
// method of a later version must be granted by name.
func defaultMethods() []string { return []string{"IssueToken", "VerifyToken"} }
