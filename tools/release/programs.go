package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// platforms are those that a whole release has a program for.
var platforms = []platform{{linux, "amd64"}, {linux, "arm64"}, {"darwin", "amd64"}, {"darwin", "arm64"}}

const linux = "linux"

// platformsOf reads a list such as "linux/amd64,darwin/arm64"; the empty one is all.
func platformsOf(list string) ([]platform, error) {
	if list == "" {
		return platforms, nil
	}
	var out []platform
	for name := range strings.SplitSeq(list, ",") {
		system, architecture, _ := strings.Cut(name, "/")
		if !slices.Contains(platforms, platform{system, architecture}) {
			return nil, fmt.Errorf("-platforms: %q is none of %v", name, platforms)
		}
		out = append(out, platform{system, architecture})
	}
	return out, nil
}

type platform struct{ os, architecture string }

func (p platform) String() string { return p.os + "/" + p.architecture }

// name is how files are named.
func (p platform) name() string { return p.os + "_" + p.architecture }

// environment is all that changes what Go compiles: of the machine's own settings, none counts.
func (p platform) environment() []string {
	return []string{
		"GOOS=" + p.os, "GOARCH=" + p.architecture, "GOAMD64=v1", "GOARM64=v8.0", "CGO_ENABLED=0", "GOEXPERIMENT=",
		"GOFIPS140=off", "GOENV=off", "GOFLAGS=", "GOTOOLCHAIN=local", "GOWORK=off",
	}
}

var goVersion = regexp.MustCompile(`(?m)^ARG GO_VERSION=(\S+)$`)

// programs compiles the program for each platform as the Dockerfile does.
func (r *release) programs(ctx context.Context) error {
	dockerfile, err := os.ReadFile(filepath.Join(r.source, "Dockerfile"))
	if err != nil {
		return err
	}
	named := goVersion.FindSubmatch(dockerfile)
	if named == nil {
		return errors.New("the Dockerfile names no GO_VERSION")
	}
	have, err := r.run(ctx, r.source, nil, "go", "env", "GOVERSION")
	if err != nil {
		return err
	}
	if want := "go" + string(named[1]); have != want {
		return fmt.Errorf("this machine has %s, the Dockerfile wants %s: another Go makes other bytes", have, want)
	}
	for _, p := range r.platforms {
		_, err := r.run(ctx, r.source, p.environment(), "go", "build", "-tags", "grpcnotrace", "-trimpath", "-buildvcs=false",
			"-ldflags", "-s -w -buildid= -X main.version="+r.version, "-o", r.file(p.name()), "./server")
		if err != nil {
			return err
		}
	}
	return nil
}

// bills writes the bill of materials of each program.
func (r *release) bills(ctx context.Context) error {
	for _, p := range r.platforms {
		// In the checkout, whose own modules are those of the commit.
		bill, err := r.run(ctx, filepath.Join(r.source, "tools", "sbom"), []string{"GOWORK=off"},
			"go", "run", ".", "-version", r.version, r.file(p.name()))
		if err != nil {
			return err
		}
		if err := write(r.file(p.name()+".cdx.json"), bill+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// write makes a file that everybody may read.
func write(path, text string) error {
	return os.WriteFile(path, []byte(text), 0o644)
}
