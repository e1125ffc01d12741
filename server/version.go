package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/chatidentity/chatidentity/server/internal/config"
)

// version is set by the linker for releases.
var version string

func newVersionCommand(console *console) *cobra.Command {
	var output outputFlag
	var isJSON bool
	return withFlags(&cobra.Command{
		Use:     "version",
		Short:   "Print the version.",
		Example: "chatidentity version --json",
		RunE: func(*cobra.Command, []string) error {
			if isJSON {
				output.Output = "json"
			}
			return printVersion(console, output)
		},
	}, config.Group{Flags: append(output.flags(),
		config.Switch(&isJSON, "json", "The same as --output json, which has the modules that it is built from."))})
}

type versionAnswer struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`

	Modules []moduleAnswer `json:"modules"`
}

// moduleAnswer is one that the program is built from, as it was built.
type moduleAnswer struct {
	Path    string `json:"path"`
	Version string `json:"version"`
	Sum     string `json:"sum,omitempty"`
}

func modules() []moduleAnswer {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil
	}
	all := make([]moduleAnswer, len(info.Deps))
	for i, module := range info.Deps {
		if module.Replace != nil {
			module = module.Replace
		}
		all[i] = moduleAnswer{module.Path, module.Version, module.Sum}
	}
	return all
}

func printVersion(console *console, output outputFlag) error {
	answer := versionAnswer{buildVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH, modules()}
	text := fmt.Sprintf("chatidentity %s (%s %s/%s)", answer.Version, answer.Go, answer.OS, answer.Arch)
	return output.print(console, answer, text)
}

func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "(devel)"
}
