// Package doctor checks a configuration of serve before a rollout. It is a list of checks; each asks
// the room that knows, with the code that serve runs, and leaves nothing behind.
package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// checks is everything that doctor does. Whatever serve opens stands in the order in which serve opens
// it, so that the first refusal is the one with which serve would end.
var checks = []check{
	{"process", hardening},
	{"environment", environment},
	{"flags", flags},
	{"permissions", permissions},

	{"API host", answered(apiHost)},
	{"API", answered(api)},
	{"API key", answered(apiKey)},
	{"API key's roles", answered(apiRoles)},
	{"signing secret", each(signingSecret)},
	{"secret updates", each(secretUpdates)},
	{"identifier policy", each(identifiers)},
	{"clock", clock},

	{"caller tokens", callerTokens},
	{"TLS", certificate},
	{"policy file", policyFile},
	{"ID tokens", issuers},

	{"listen", sockets},
	{"admin listen", adminSocket},

	{"audit keys", auditKeys},
	{"Redis", decision},
	{"audit file", auditFile},
	{"audit disk", auditDisk},
	{"audit chain", auditChain},
	{"limits", limits},
}

// Names returns the names of all checks.
func Names() []string {
	names := make([]string, len(checks))
	for i, check := range checks {
		names[i] = check.name
	}
	return names
}

// check looks at one thing. It finds nothing if the configuration does not have that thing, or if
// another check reports why there is nothing to look at.
type check struct {
	name string
	find func(context.Context, *setup) []Finding
}

// Status is what came of a check.
type Status string

// What can come of a check.
const (
	OK      Status = "ok"
	Warning Status = "warning" // something may be wrong
	Failed  Status = "failed"  // serve would not do what it is configured to do
)

// Finding is one line. Its detail says what is so and, unless all is well, what to do.
type Finding struct {
	Check  string `json:"check"`
	Status Status `json:"status"`
	Detail string `json:"detail"`

	subject string // what was looked at, if a check looks at several things
	refusal error  // serve would end with it
}

// Report is what all checks found.
type Report struct {
	OK     bool      `json:"ok"` // nothing failed
	Checks []Finding `json:"checks"`
}

// Examine runs all checks.
func Examine(ctx context.Context, o Options) Report {
	s := newSetup(ctx, o)
	report := Report{Checks: []Finding{}}
	for _, check := range checks {
		for _, found := range check.find(ctx, s) {
			found.Check = strings.TrimSpace(check.name + " " + found.subject)
			report.Checks = append(report.Checks, found)
		}
	}
	report.OK = report.Count(Failed) == 0
	return report
}

// Count returns how many findings have the status.
func (r *Report) Count(status Status) int {
	count := 0
	for _, found := range r.Checks {
		if found.Status == status {
			count++
		}
	}
	return count
}

// Refusal returns the error with which serve would refuse to start, nil if it would start.
func (r *Report) Refusal() error {
	if i := slices.IndexFunc(r.Checks, func(f Finding) bool { return f.refusal != nil }); i >= 0 {
		return r.Checks[i].refusal
	}
	return nil
}

func okf(format string, args ...any) []Finding      { return found(OK, format, args) }
func warningf(format string, args ...any) []Finding { return found(Warning, format, args) }
func failedf(format string, args ...any) []Finding  { return found(Failed, format, args) }

func found(status Status, format string, args []any) []Finding {
	// A finding is one line, whatever an error contains.
	detail := strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "; ")
	return []Finding{{Status: status, Detail: detail}}
}

// refused is for an error that ends serve at its start.
func refused(err error) []Finding {
	findings := failedf("%v", err)
	findings[0].refusal = err
	return findings
}

// of says what the findings are about.
func of(subject string, findings []Finding) []Finding {
	for i := range findings {
		findings[i].subject = subject
	}
	return findings
}
