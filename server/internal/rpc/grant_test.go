package rpc_test

import (
	"testing"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/policy"
)

// serveUnder serves loopback callers under the grant, with two organizations beside the default
// one.
func serveUnder(t *testing.T, grant *policy.Grant, change func(*setup)) *fixture {
	t.Helper()
	return serve(t, func(o *setup) {
		granted := &policy.Policy{Callers: map[string]*policy.Grant{"loopback": grant}}
		o.Policy = func() *policy.Policy { return granted }
		for name, identifiers := range map[string]customer.IdentifierPolicy{"acme": customer.AsGiven, "mail": customer.OnlyEmail} {
			organization := o.clock.organization(t, name, "secret-of-"+name+"-0123456789-0123456789")
			organization.Identifiers = identifiers
			o.Organizations = append(o.Organizations, organization)
		}
		if change != nil {
			change(o)
		}
	})
}

func grantOf(organizations ...string) *policy.Grant {
	return &policy.Grant{Organizations: organizations, Methods: policy.Methods()}
}

// A caller learns nothing about organizations that it may not use: they look like those that do not
// exist.
func TestACallerUsesOnlyItsOrganizations(t *testing.T) {
	t.Parallel()
	f := serveUnder(t, grantOf("acme", "withdrawn"), nil)
	for name, want := range map[string]string{
		"acme": "", "default": "CALLER_DENIED", "": "CALLER_DENIED", "mail": "CALLER_DENIED", "nowhere": "CALLER_DENIED", "withdrawn": "UNKNOWN_ORGANIZATION",
	} {
		request := issueFor("user_id", "")
		request.Organization = name
		_, issueErr := f.IssueToken(t.Context(), request)
		_, verifyErr := f.VerifyToken(t.Context(), &pb.VerifyTokenRequest{Token: "x", Organization: name})
		for _, err := range []error{issueErr, verifyErr} {
			if want == "" && err != nil || want != "" && detailsOf(t, err).reason != want {
				t.Errorf("%q: %v, want %q", name, err, want)
			}
		}
	}
}

func TestACallerUsesOnlyItsMethods(t *testing.T) {
	t.Parallel()
	f := serveUnder(t, &policy.Grant{AllOrganizations: true, Methods: []string{"VerifyToken"}}, nil)
	if _, err := f.IssueToken(t.Context(), issueFor("user_id", "")); detailsOf(t, err).reason != "CALLER_DENIED" {
		t.Errorf("issue: %v", err)
	}
	if _, err := f.VerifyToken(t.Context(), &pb.VerifyTokenRequest{Token: "x"}); err != nil {
		t.Errorf("verify: %v", err)
	}
}

// The methods that a grant can name are those of the contract.
func TestMethodsThatAGrantNames(t *testing.T) {
	t.Parallel()
	served := map[string]bool{}
	for _, method := range pb.ChatIdentityService_ServiceDesc.Methods {
		served[method.MethodName] = true
	}
	for _, name := range policy.Methods() {
		if !served[name] {
			t.Errorf("%s is not served", name)
		}
	}
	if len(served) != len(policy.Methods()) {
		t.Errorf("served %v, to be named %v", served, policy.Methods())
	}
}
