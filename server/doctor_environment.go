package main

import (
	"context"
	"os"
	"strings"

	"github.com/chatidentity/chatidentity/server/internal/config"
)

const checkEnvironment = "environment"

// environment warns of variables that look like a flag's and are none: a
// misspelt one is passed over without a word.
func (x *examination) environment(context.Context) {
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, config.VariablePrefix) && !x.known[name] && !isServiceLink(name) {
			x.warnf(checkEnvironment, "%s is no flag's variable and has no effect: correct its name (serve --help has them) or remove it", name)
		}
	}
}

// isServiceLink reports whether Kubernetes sets the variable, for a Service
// whose name begins with chatidentity.
func isServiceLink(name string) bool {
	return strings.HasSuffix(name, "_PORT") || strings.Contains(name, "_PORT_") || strings.Contains(name, "_SERVICE_")
}
