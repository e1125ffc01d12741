package policy_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/idtoken"
	"github.com/chatidentity/chatidentity/server/internal/policy"
)

func TestTheZeroGrantLetsNothing(t *testing.T) {
	t.Parallel()
	var zero policy.Grant
	if zero.MayCall("IssueToken") || zero.MayUse("acme") || zero.MayUse("") {
		t.Error("something is allowed")
	}
	one := policy.Grant{Organizations: []string{"acme"}, Methods: []string{"IssueToken"}}
	if !one.MayCall("IssueToken") || one.MayCall("VerifyToken") || !one.MayUse("acme") || one.MayUse("Acme") {
		t.Errorf("grant %+v", one)
	}
}

func TestTheZeroPolicyNamesNobody(t *testing.T) {
	t.Parallel()
	var zero policy.Policy
	if grant, found := zero.Grant(""); found || grant != nil {
		t.Errorf("grant %+v", grant)
	}
}

// Until Next has opened a policy, its issuers prove nobody and have no keys.
func TestAnIssuerThatIsNotOpenedProvesNobody(t *testing.T) {
	t.Parallel()
	var zero policy.Issuer
	for name, err := range map[string]error{
		"Prove":    zero.Prove(t.Context(), "", customer.Customer{ExternalID: "user_id"}),
		"LoadKeys": zero.LoadKeys(t.Context()),
	} {
		if !errors.Is(err, idtoken.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// These two for ever: a file that was written today must not grant an RPC of a later version. The
// list stands here on purpose, and is not derived from anything.
func TestACallerWithoutMethodsMayIssueAndVerifyAndNeverMore(t *testing.T) {
	t.Parallel()
	grant, _ := parse(t, "callers: {loopback: {organizations: all}}").Grant("loopback")
	if want := []string{"IssueToken", "VerifyToken"}; !slices.Equal(grant.Methods, want) || grant.AllMethods {
		t.Errorf("methods %q, all: %t; want %q", grant.Methods, grant.AllMethods, want)
	}
	if grant.MayCall("DescribeToken") || grant.MayCall("") {
		t.Error("a method that the file does not grant is allowed")
	}
}
