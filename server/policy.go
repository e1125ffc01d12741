package main

import (
	"fmt"
	"strings"

	"github.com/chatidentity/chatidentity/server/internal/caller"
	"github.com/chatidentity/chatidentity/server/internal/config"
	"github.com/chatidentity/chatidentity/server/internal/policy"
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
	report, err := policy.Explain(text, c.Caller, c.Organization)
	if err != nil {
		return config.Usage("%s: %v", c.File, err)
	}
	if err := c.print(console, report, reportText(report)); err != nil {
		return err
	}
	if c.Caller != "" && !report.Callers[0].Allowed {
		return errSaid
	}
	return nil
}

func reportText(report *policy.Report) string {
	var lines []string
	for i := range report.Callers {
		lines = append(lines, explanationLines(&report.Callers[i])...)
	}
	for _, organization := range report.Elsewhere {
		lines = append(lines, "Not in the file: organization "+organization+"; it must be serve's own --organization.")
	}
	return strings.Join(lines, "\n")
}

func explanationLines(e *policy.Explanation) []string {
	if !e.Allowed {
		return []string{e.Caller + " is refused: " + e.Why}
	}
	proof := "none: the caller's word says who the user is"
	if p := e.Proof; p != nil {
		proof = fmt.Sprintf("ID token of %s for %s, at most %s old (external_id: %q, email: %q)", p.Issuer, p.Audience, p.MaxAge, p.ExternalID, p.Email)
	}
	return []string{
		e.Caller + " is allowed: " + e.Why,
		"  methods        " + strings.Join(e.Methods, ", "),
		"  organizations  " + strings.Join(e.Organizations, ", "),
		"  identifiers    " + e.Identifiers,
		"  limit          " + e.Limit,
		"  proof          " + proof,
	}
}
