package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by the linker for releases.
var version string

type versionCommand struct {
	outputFlag
}

func (versionCommand) Help() string {
	return "Example:\n  chatidentity version"
}

type versionAnswer struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

// Run prints the version.
func (c *versionCommand) Run(console *console) error {
	answer := versionAnswer{buildVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH}
	return c.print(console, answer, fmt.Sprintf("chatidentity %s (%s %s/%s)", answer.Version, answer.Go, answer.OS, answer.Arch))
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
