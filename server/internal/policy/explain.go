package policy

import (
	"fmt"
	"maps"
	"slices"
)

// Report says what a policy file lets callers do.
type Report struct {
	Callers []Explanation `json:"callers"`
	// Elsewhere are the organizations that callers may use and the file does not define: only the
	// default organization can be one.
	Elsewhere []string `json:"elsewhere,omitempty"`
}

// Explanation is what the file lets one caller do, and which line says so.
type Explanation struct {
	Caller        string            `json:"caller"`
	Allowed       bool              `json:"allowed"`
	Why           string            `json:"why"`
	Organizations []string          `json:"organizations,omitempty"`
	Methods       []string          `json:"methods,omitempty"`
	Identifiers   string            `json:"identifiers,omitempty"`
	Limit         string            `json:"limit,omitempty"`
	Proof         *ProofExplanation `json:"proof,omitempty"`
}

// ProofExplanation is the ID token that must prove who the user is.
type ProofExplanation struct {
	Issuer     string `json:"issuer"`
	Audience   string `json:"audience"`
	MaxAge     string `json:"max_age"`
	ExternalID string `json:"external_id,omitempty"`
	Email      string `json:"email,omitempty"`
}

// Explain reads a policy file as Parse does, and says what it lets the caller do with the
// organization. Empty means all callers that it names, and any organization.
func Explain(text []byte, caller, organization string) (*Report, error) {
	elsewhere := map[string]bool{}
	p, err := Parse(text, func(organization string) bool {
		elsewhere[organization] = true
		return true
	})
	if err != nil {
		return nil, err
	}
	if _, found := p.Organizations[organization]; organization != "" && !found {
		elsewhere[organization] = true
	}
	callers := slices.Sorted(maps.Keys(p.Callers))
	if caller != "" {
		callers = []string{caller}
	}
	report := &Report{Callers: []Explanation{}, Elsewhere: slices.Sorted(maps.Keys(elsewhere))}
	for _, name := range callers {
		report.Callers = append(report.Callers, p.explain(name, organization))
	}
	return report, nil
}

// explain asks the policy as a call would.
func (p *Policy) explain(caller, organization string) Explanation {
	grant, found := p.Grant(caller)
	if !found {
		return Explanation{Caller: caller, Why: "the file does not name it, and a caller that is not named may do nothing"}
	}
	why := fmt.Sprintf("line %d of the file", grant.line)
	if organization != "" && !grant.MayUse(organization) {
		return Explanation{Caller: caller, Why: why + " does not grant it the organization " + organization}
	}
	explanation := Explanation{
		Caller: caller, Allowed: true, Why: why, Methods: grant.Methods, Organizations: grant.Organizations,
		Identifiers: p.explainIdentifiers(grant, organization), Limit: "--limit-caller",
	}
	switch {
	case organization != "":
		explanation.Organizations = []string{organization}
	case grant.AllOrganizations:
		explanation.Organizations = []string{"all"}
	}
	if grant.Limit != nil {
		explanation.Limit = grant.Limit.String()
	}
	if issuer, demanded := grant.Proof.(*Issuer); demanded {
		explanation.Proof = &ProofExplanation{
			issuer.Issuer.Issuer, issuer.Audience, issuer.EffectiveMaxAge().String(), issuer.ExternalIDClaim, issuer.EmailClaim,
		}
	}
	return explanation
}

func (p *Policy) explainIdentifiers(grant *Grant, organization string) string {
	own := p.Organizations[organization].Identifiers
	switch {
	case grant.Identifiers != nil:
		return grant.Identifiers.String()
	case own != nil:
		return own.String()
	default:
		return "the organization's own, or --identifier-policy"
	}
}
