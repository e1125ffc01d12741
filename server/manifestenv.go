package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/chatidentity/chatidentity/server/internal/config"
	"github.com/chatidentity/chatidentity/server/internal/manifest"
)

var (
	variableName  = regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`)
	urlOfPassword = regexp.MustCompile(`(^|://)[^/@]*:[^/@]*@`)
)

// addVariable takes a NAME=VALUE of --env. Its errors hold no more of what has no name than that,
// because it may be a secret.
func (c *manifestCommand) addVariable(text string) error {
	name, value, found := strings.Cut(text, "=")
	if !found || !variableName.MatchString(name) {
		return errors.New("give NAME=VALUE, such as CHATIDENTITY_LIMIT_CUSTOMER=1/s:20")
	}
	flag, err := variableOfServe(name)
	if err == nil && slices.ContainsFunc(c.Env, func(v manifest.Variable) bool { return v.Name == name }) {
		err = fmt.Errorf("%s is given twice", name)
	}
	if err == nil {
		err = checkValue(flag, name, value)
	}
	if err != nil {
		return err
	}
	c.Env = append(c.Env, manifest.Variable{Name: name, Value: value})
	return nil
}

func variableOfServe(name string) (config.Flag, error) {
	flags := variablesOfServe()
	flag, known := flags[name]
	switch {
	case name == "GOMEMLIMIT":
		return flag, fmt.Errorf("the manifest sets %s itself, to the memory that the sidecar requests", name)
	case config.HoldsKey(name):
		return flag, fmt.Errorf("%s usually holds a key, which all who read the manifest would see: "+
			"take it from a Secret, with a patch of kustomize", name)
	case !known:
		names := slices.Collect(maps.Keys(flags))
		return flag, fmt.Errorf("%s is not a variable that serve reads%s", name,
			cmp.Or(didYouMean("", name, names), "; serve --help lists those of its flags"))
	case name == config.VariablePrefix+"LIMIT_REDIS", name == config.VariablePrefix+"ALLOW_UID":
		return flag, fmt.Errorf("%s: give --%s instead", name, flag.Name)
	}
	return flag, nil
}

func checkValue(flag config.Flag, name, value string) error {
	switch {
	case config.IsBlank(value):
		return fmt.Errorf("%s has no value", name)
	case !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl):
		return fmt.Errorf("the value of %s is not UTF-8 text on one line", name)
	case urlOfPassword.MatchString(value):
		return fmt.Errorf("the value of %s holds a password, which all who read the manifest would see: leave it out", name)
	case strings.Contains(value, "$("): // what Kubernetes makes of that is not known here
		return nil
	}
	if err := flag.Set(value); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func variablesOfServe() map[string]config.Flag {
	flags := config.OtherVariables()
	for _, group := range new(config.Serve).Flags() {
		for _, flag := range group.Flags {
			flags[flag.Variable()] = flag
		}
	}
	return flags
}

// checkVariables refuses what the sidecar has already: two variables of the same name would be in
// the container, or one beside an argument that overrides it.
func (c *manifestCommand) checkVariables() error {
	for _, v := range c.Env {
		if c.Sets(v.Name) {
			return config.Usage("--env: the manifest sets %s itself: leave it out, and change it in what is printed", v.Name)
		}
	}
	return nil
}

// unmounted is a file that a variable names and that no volume of the sidecar holds.
type unmounted struct {
	Variable string `json:"variable"`
	Path     string `json:"path"`
	Why      string `json:"why"`
}

func (c *manifestCommand) unmounted() []unmounted {
	variables := variablesOfServe()
	var files []unmounted
	for _, v := range c.Env {
		if variables[v.Name].Placeholder == config.PathPlaceholder && !c.Mounts(v.Value) {
			files = append(files, unmounted{
				v.Name, v.Value, "no volume of the sidecar holds it: mount one, or what needs the file fails " +
					"(docs/kubernetes.md, A flag that names a file)",
			})
		}
	}
	return files
}
