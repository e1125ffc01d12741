package manifest

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Variable is an environment variable of the sidecar. Its value is UTF-8, and is written as it is:
// Kubernetes expands $(NAME) in it.
type Variable struct{ Name, Value string }

// env is the part of the variables that the options name. Their values stand in for placeholders
// that hold the name, because a value may look like a placeholder itself.
func (o Options) env() part {
	var b strings.Builder
	for _, v := range o.Env {
		b.WriteString("- name: " + v.Name + "\n  value: " + placeholder(v) + "\n")
	}
	return part{env: b.String()}
}

func placeholder(v Variable) string { return "$env[" + v.Name + "]" }

// quoted returns a value as YAML with double quotes. Go escapes as YAML does.
func (v Variable) quoted() string { return strconv.Quote(v.Value) }

// Sets reports whether the sidecar has the variable, or its flag, without Env.
func (o Options) Sets(variable string) bool {
	return slices.ContainsFunc(o.chosen(), func(p part) bool { return slices.Contains(p.sets(), variable) })
}

// Mounts reports whether a volume of the sidecar holds the path.
func (o Options) Mounts(path string) bool {
	return slices.ContainsFunc(o.chosen(), func(p part) bool {
		return slices.ContainsFunc(mountPath.FindAllStringSubmatch(p.mounts, -1), func(found []string) bool {
			return strings.HasPrefix(path, found[1]+"/")
		})
	})
}

var mountPath = regexp.MustCompile(`(?m)^ *mountPath: (.+)$`)

var setting = regexp.MustCompile(`(?m)^ *- (?:--([a-z-]+)=|name: (CHATIDENTITY_[A-Z_]+))`)

// sets returns the variables that a part sets. An argument overrides its variable.
func (p part) sets() []string {
	text := p.env
	if p.option == sidecar {
		text += head
	}
	matches := setting.FindAllStringSubmatch(text, -1)
	names := make([]string, 0, len(matches))
	for _, found := range matches {
		name := found[2]
		if name == "" {
			name = "CHATIDENTITY_" + strings.ToUpper(strings.ReplaceAll(found[1], "-", "_"))
		}
		names = append(names, name)
	}
	return names
}
