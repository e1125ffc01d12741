package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chatidentity/chatidentity/server/internal/policy"
)

// Origins says where the values of a command's flags come from.
type Origins struct {
	Given map[string]bool // names of the flags whose value the command line or a variable gives
	Blank []string        // variables that are set but blank, so that their flags were not given
}

// Notice is something about the configuration that serve starts with all the same.
type Notice struct {
	Setting string // a flag, a variable or a file
	Text    string // what is so, and what to do
	Opens   bool   // a gate that somebody meant to close may be open
}

// gates are the flags that keep somebody out.
var gates = []string{
	"caller-tokens-file", "policy-file", "allow-uid", "tls-cert", "tls-key", "tls-client-ca", "audit-key-file",
}

// BlankText says of a variable what becomes of it.
const BlankText = "the variable is set but empty, and taken as unset"

// Blank returns a notice for each variable that is set but blank.
func (s *Serve) Blank() []Notice {
	blank := slices.Concat(s.origins.Blank, s.Secrets.blank())
	notices := make([]Notice, len(blank))
	for i, variable := range blank {
		notices[i] = Notice{Setting: variable, Text: BlankText, Opens: isGate(variable)}
		if notices[i].Opens {
			notices[i].Text += ", so that nothing is checked by it: give its value, or unset it if that is meant"
		}
	}
	return notices
}

// Misspelt returns a notice for each variable of the environment that looks like a flag's but is
// not. It names no value: that may be a secret. known are the variables of all flags of all
// commands.
func Misspelt(known map[string]bool, environment []string) []Notice {
	var notices []Notice
	for _, entry := range environment {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, VariablePrefix) && !known[name] && !isServiceLink(name) {
			notices = append(notices, Notice{
				Setting: name, Text: "the variable belongs to no flag and has no effect: correct its name " +
					"(serve --help lists them) or remove it",
			})
		}
	}
	return notices
}

// isServiceLink reports whether Kubernetes sets the variable, for a Service whose name begins with
// chatidentity.
func isServiceLink(name string) bool {
	return strings.HasSuffix(name, "_PORT") || strings.Contains(name, "_PORT_") || strings.Contains(name, "_SERVICE_")
}

func isGate(variable string) bool {
	return slices.ContainsFunc(gates, func(flag string) bool { return Flag{Name: flag}.Variable() == variable })
}

// GateCollector exports whether the variable of a gate is blank.
func (s *Serve) GateCollector() prometheus.Collector {
	blank := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "chatidentity_blank_gate",
		Help: "1 if the variable of a flag that keeps somebody out is set but empty. " +
			"When it moves: give the variable a value, or remove it; docs/operations.md says why.",
	}, []string{"flag"})
	for _, flag := range gates {
		blank.WithLabelValues(flag)
		if slices.Contains(s.origins.Blank, Flag{Name: flag}.Variable()) {
			blank.WithLabelValues(flag).Set(1)
		}
	}
	return blank
}

// Idle returns a notice for each flag that was given and has no effect.
func (s *Serve) Idle() []Notice {
	var notices []Notice
	usesAPI := s.usesAPI()
	for _, group := range []struct {
		idle  bool
		why   string
		flags []string
	}{
		{!slices.ContainsFunc(s.Listen, Address.IsUnix), "no --listen is a unix socket", []string{"socket-mode"}},
		{
			!usesAPI, "no signing secret comes from Kustomer's API",
			[]string{"api-url", "secret-refresh", "secret-max-stale"},
		},
		{
			!s.IsShared(), "there is no --limit-redis",
			[]string{"limit-redis-prefix", "limit-redis-timeout", "limit-redis-failure"},
		},
		{
			!usesAPI && !s.fetchesKeys(), "neither Kustomer's API nor the URL of an issuer's keys is called",
			[]string{"ca-file"},
		},
		{
			s.AuditFile == "-", "records go to standard output",
			[]string{"audit-sync", "audit-file-mode", "audit-max-size", "audit-max-files", "audit-min-free", "audit-copy"},
		},
	} {
		for _, flag := range group.flags {
			if group.idle && s.origins.Given[flag] {
				notices = append(notices, Notice{
					Setting: "--" + flag, Text: fmt.Sprintf("the flag has no effect, because %s: leave it out", group.why),
				})
			}
		}
	}
	return notices
}

func (s *Serve) usesAPI() bool {
	now := s.policyNow()
	if s.PolicyFile != "" && now == nil { // the file may come to say so
		return true
	}
	return slices.ContainsFunc(s.Organizations(now), func(o Organization) bool { return o.UsesAPI() })
}

// fetchesKeys reports whether the policy names an issuer whose keys are at a URL.
func (s *Serve) fetchesKeys() bool {
	now := s.policyNow()
	if now == nil {
		return false
	}
	return slices.ContainsFunc(slices.Collect(maps.Values(now.Issuers)), func(i *policy.Issuer) bool {
		return i.JWKSURL != ""
	})
}
