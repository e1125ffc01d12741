package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/chatidentity/chatidentity/server/internal/caller"
	"github.com/chatidentity/chatidentity/server/internal/config"
	"github.com/chatidentity/chatidentity/server/internal/watch"
)

type policyCommands struct {
	Check policyCheckCommand `cmd:"" help:"Check a policy file, and explain what a caller may do."`
}

type policyCheckCommand struct {
	File         string `arg:"" help:"The policy file."`
	Caller       string `placeholder:"NAME" help:"Explain this caller alone: loopback, uid:N, token:NAME or certificate:NAME."`
	Organization string `placeholder:"NAME" help:"Ask about this organization alone."`
	outputFlag
}

func (policyCheckCommand) Help() string {
	return "A wrong file is exit code 2, with line and column. With --caller, a caller that may do nothing is exit code 1.\n\n" +
		"Examples:\n  chatidentity policy check policy.yaml\n" +
		"  chatidentity policy check policy.yaml --caller token:checkout --organization acme"
}

// policyAnswer is what the policy lets one caller do, and where it says so.
type policyAnswer struct {
	Caller        string       `json:"caller"`
	Allowed       bool         `json:"allowed"`
	Why           string       `json:"why"`
	Organizations []string     `json:"organizations,omitempty"`
	Methods       []string     `json:"methods,omitempty"`
	Identifiers   string       `json:"identifiers,omitempty"`
	Limit         string       `json:"limit,omitempty"`
	Proof         *proofAnswer `json:"proof,omitempty"`
}

type proofAnswer struct {
	Issuer     string `json:"issuer"`
	Audience   string `json:"audience"`
	MaxAge     string `json:"max_age"`
	ExternalID string `json:"external_id,omitempty"`
	Email      string `json:"email,omitempty"`
}

type policyReport struct {
	Callers []policyAnswer `json:"callers"`
	// Elsewhere are organizations that callers may use and the file does not
	// have: serve's own --organization must be the one.
	Elsewhere []string `json:"elsewhere,omitempty"`
}

// Run checks the file and explains it.
func (c *policyCheckCommand) Run(console *console) error {
	if c.Caller != "" {
		if err := caller.ParseName(c.Caller); err != nil {
			return config.Usage("--caller %v", err)
		}
	}
	text, err := watch.ReadFile(c.File)
	if err != nil {
		return config.Usage("policy check: %v", err)
	}
	var report policyReport
	policy, err := config.ParsePolicy(text, func(organization string) bool {
		report.Elsewhere = append(report.Elsewhere, organization)
		return true
	})
	if err != nil {
		return config.Usage("%s: %v", c.File, err)
	}
	if _, found := policy.Organizations[c.Organization]; c.Organization != "" && !found {
		report.Elsewhere = append(report.Elsewhere, c.Organization)
	}
	slices.Sort(report.Elsewhere)
	report.Elsewhere = slices.Compact(report.Elsewhere)
	report.Callers = c.explainAll(policy)
	if err := c.print(console, report, report.text()); err != nil {
		return err
	}
	if c.Caller != "" && !report.Callers[0].Allowed {
		return errSaid
	}
	return nil
}

func (c *policyCheckCommand) explainAll(policy *config.Policy) []policyAnswer {
	if c.Caller != "" {
		return []policyAnswer{c.explain(policy, c.Caller)}
	}
	var answers []policyAnswer
	for _, name := range slices.Sorted(maps.Keys(policy.Callers)) {
		answers = append(answers, c.explain(policy, name))
	}
	return answers
}

// explain asks the policy as a call would.
func (c *policyCheckCommand) explain(policy *config.Policy, name string) policyAnswer {
	granted, found := policy.Callers[name]
	if !found {
		return policyAnswer{Caller: name, Why: "the file does not name it: whoever is not named may do nothing"}
	}
	line := fmt.Sprintf("line %d of %s", granted.Line, c.File)
	if c.Organization != "" && !granted.MayUse(c.Organization) {
		return policyAnswer{Caller: name, Why: line + " does not give it the organization " + c.Organization}
	}
	answer := policyAnswer{
		Caller: name, Allowed: true, Why: line, Methods: granted.Methods,
		Organizations: granted.Organizations, Identifiers: "as the organization has them, or --identifier-policy", Limit: "as --limit-caller",
	}
	if granted.AllOrganizations {
		answer.Organizations = []string{"all"}
	}
	if c.Organization != "" {
		answer.Organizations = []string{c.Organization}
		if own := policy.Organizations[c.Organization].Identifiers; own != nil {
			answer.Identifiers = own.String()
		}
	}
	if granted.Identifiers != nil {
		answer.Identifiers = granted.Identifiers.String()
	}
	if granted.Limit != nil {
		answer.Limit = granted.Limit.String()
	}
	if granted.Proof != "" {
		issuer := policy.Issuers[granted.Proof]
		answer.Proof = &proofAnswer{issuer.Issuer, issuer.Audience, issuer.EffectiveMaxAge().String(), issuer.ExternalIDClaim, issuer.EmailClaim}
	}
	return answer
}

func (r *policyReport) text() string {
	var lines []string
	for _, answer := range r.Callers {
		lines = append(lines, answer.lines()...)
	}
	for _, organization := range r.Elsewhere {
		lines = append(lines, "Not in the file: organization "+organization+"; it must be serve's own --organization.")
	}
	return strings.Join(lines, "\n")
}

func (a *policyAnswer) lines() []string {
	if !a.Allowed {
		return []string{a.Caller + " is refused: " + a.Why}
	}
	lines := []string{
		a.Caller + " is allowed: " + a.Why,
		"  methods        " + strings.Join(a.Methods, ", "),
		"  organizations  " + strings.Join(a.Organizations, ", "),
		"  identifiers    " + a.Identifiers,
		"  limit          " + a.Limit,
	}
	if a.Proof == nil {
		return append(lines, "  proof          none: the caller's word says who the user is")
	}
	return append(lines, fmt.Sprintf("  proof          ID token of %s for %s, at most %s old (external_id: %q, email: %q)",
		a.Proof.Issuer, a.Proof.Audience, a.Proof.MaxAge, a.Proof.ExternalID, a.Proof.Email))
}
