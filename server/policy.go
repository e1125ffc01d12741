package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/chatidentity/chatidentity/server/internal/caller"
	"github.com/chatidentity/chatidentity/server/internal/config"
	"github.com/chatidentity/chatidentity/server/internal/policy"
	"github.com/chatidentity/chatidentity/server/internal/watch"
)

func newPolicyCommands(console *console) *cobra.Command {
	policies := &cobra.Command{
		Use:     "policy",
		Short:   "Check a policy file.",
		Example: "chatidentity policy check policy.yaml",
	}
	policies.AddCommand(newPolicyCheckCommand(console))
	return policies
}

type policyCheckCommand struct {
	File         string
	Caller       string
	Organization string
	outputFlag
}

func newPolicyCheckCommand(console *console) *cobra.Command {
	var c policyCheckCommand
	return withFlags(&cobra.Command{
		Use:   "check FILE",
		Short: "Check a policy file and explain what its callers may do.",
		Long: `The exit code is 2 when the file is wrong; the error names line and column. With
--caller, it is 1 when that caller may do nothing.`,
		Example: `chatidentity policy check policy.yaml
chatidentity policy check policy.yaml --caller token:checkout --organization acme`,
		RunE: func(_ *cobra.Command, args []string) error {
			c.File = args[0]
			return c.run(console)
		},
	}, config.Group{Flags: slices.Concat([]config.Flag{
		config.String(&c.Caller, "caller", "NAME", "",
			"Explain only this caller: loopback, uid:N, token:NAME or certificate:NAME."),
		config.String(&c.Organization, "organization", "NAME", "", "Ask only about this organization."),
	}, c.flags())})
}

// run checks the file and explains it.
func (c *policyCheckCommand) run(console *console) error {
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
		return errNegative
	}
	return nil
}

func reportText(report *policy.Report) string {
	var lines []string
	if len(report.Callers) == 0 {
		lines = append(lines, "The file is well-formed and names no caller, so nobody may call.")
	}
	for i := range report.Callers {
		lines = append(lines, explanationLines(&report.Callers[i])...)
	}
	for _, organization := range report.Elsewhere {
		lines = append(lines, "Not in the file: organization "+organization+"; it must be serve's --organization.")
	}
	return strings.Join(lines, "\n")
}

func explanationLines(e *policy.Explanation) []string {
	if !e.Allowed {
		return []string{e.Caller + " is refused: " + e.Why}
	}
	proof := "none: the caller's word says who the user is"
	if p := e.Proof; p != nil {
		proof = fmt.Sprintf("ID token of %s for %s, at most %s old (external_id: %s, email: %s)",
			p.Issuer, p.Audience, p.MaxAge, claim(p.ExternalID), claim(p.Email))
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

// claim names what proves an identifier.
func claim(name string) string {
	if name == "" {
		return "none, so a request that gives it is refused"
	}
	return strconv.Quote(name)
}
