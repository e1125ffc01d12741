package policy_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/policy"
)

func TestExplain(t *testing.T) {
	t.Parallel()
	proof := &policy.ProofExplanation{Issuer: "https://login.example.com", Audience: "backend", MaxAge: "5m0s", ExternalID: "sub", Email: "email"}
	both := []string{"IssueToken", "VerifyToken"}
	const ownIdentifiers, ownLimit = "the organization's own, or --identifier-policy", "--limit-caller"
	for name, test := range map[string]struct {
		caller, organization string
		want                 policy.Explanation
		elsewhere            []string
	}{
		"a caller": {"token:checkout", "", policy.Explanation{
			Allowed: true, Why: "line 23 of the file", Organizations: []string{"acme", "elsewhere"}, Methods: both,
			Identifiers: "exclusive", Limit: "5/s:10", Proof: proof,
		}, nil},
		"an organization": {"uid:1000", "acme-eu", policy.Explanation{
			Allowed: true, Why: "line 21 of the file", Organizations: []string{"acme-eu"}, Methods: both, Identifiers: "external-id", Limit: ownLimit,
		}, nil},
		"all organizations": {"uid:1000", "", policy.Explanation{
			Allowed: true, Why: "line 21 of the file", Organizations: []string{"all"}, Methods: both, Identifiers: ownIdentifiers, Limit: ownLimit,
		}, nil},
		"one method": {"loopback", "acme", policy.Explanation{
			Allowed: true, Why: "line 18 of the file", Organizations: []string{"acme"}, Methods: []string{"VerifyToken"}, Identifiers: ownIdentifiers, Limit: ownLimit,
		}, nil},
		"another organization": {"loopback", "test", policy.Explanation{Why: "line 18 of the file does not grant it the organization test"}, nil},
		"a caller not named":   {"uid:1", "acme", policy.Explanation{Why: "the file does not name it, and a caller that is not named may do nothing"}, nil},
		"not in the file":      {"uid:1000", "zeta", policy.Explanation{Allowed: true, Why: "line 21 of the file", Organizations: []string{"zeta"}, Methods: both, Identifiers: ownIdentifiers, Limit: ownLimit}, []string{"zeta"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report, err := policy.Explain([]byte(goodPolicy), test.caller, test.organization)
			if err != nil {
				t.Fatal(err)
			}
			test.want.Caller = test.caller
			if want := []policy.Explanation{test.want}; !reflect.DeepEqual(report.Callers, want) {
				t.Errorf("explains %+v\nwant %+v", report.Callers, want)
			}
			if want := append([]string{"elsewhere"}, test.elsewhere...); !slices.Equal(report.Elsewhere, want) {
				t.Errorf("elsewhere %q, want %q", report.Elsewhere, want)
			}
		})
	}
}

func TestExplainNamesEveryCallerInOrder(t *testing.T) {
	t.Parallel()
	report, err := policy.Explain([]byte(goodPolicy), "", "")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, explanation := range report.Callers {
		names = append(names, explanation.Caller)
	}
	if want := []string{"certificate:spiffe://example.org/checkout", "loopback", "token:checkout", "uid:1000"}; !slices.Equal(names, want) {
		t.Errorf("callers %q, want %q", names, want)
	}
	if _, err := policy.Explain([]byte("callers: ["), "", ""); err == nil || !strings.Contains(err.Error(), "line") {
		t.Errorf("a mistake: %v", err)
	}
}
