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
	return withFlags(&cobra.Command{
		Use:     "version",
		Short:   "Print the version.",
		Example: "chatidentity version",
		RunE:    func(*cobra.Command, []string) error { return printVersion(console, output) },
	}, config.Group{Flags: output.flags()})
}

type versionAnswer struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

func printVersion(console *console, output outputFlag) error {
	answer := versionAnswer{buildVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH}
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
