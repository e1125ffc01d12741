// Sbom writes the CycloneDX bill of materials of a Go program: the modules that
// the linker says are in the binary, with the checksums under which Go verified
// them. The same binary gives the same document.
//
//	sbom -version 1.2.3 PROGRAM >sbom.cdx.json
package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("sbom", flag.ContinueOnError)
	version := flags.String("version", "", "of the program, such as 1.2.3: the linker leaves none")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 || *version == "" {
		return errors.New("usage: sbom -version 1.2.3 PROGRAM")
	}
	bom, err := describe(flags.Arg(0), *version)
	if err != nil {
		return err
	}
	return cdx.NewBOMEncoder(out, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cdx.SpecVersion1_6)
}

// describe reads what the linker left in the program.
func describe(program, version string) (*cdx.BOM, error) {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(program)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(content)
	subject := cdx.Component{
		BOMRef: "program", Type: cdx.ComponentTypeApplication, Name: filepath.Base(program), Version: version,
		PackageURL: "pkg:golang/" + info.Main.Path + "@v" + version + "#" +
			strings.TrimPrefix(strings.TrimPrefix(info.Path, info.Main.Path), "/"),
		Hashes: &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(digest[:])}},
	}
	standard, err := goLibrary(info.GoVersion)
	if err != nil {
		return nil, err
	}
	components := []cdx.Component{standard}
	for _, module := range info.Deps {
		component, err := library(module)
		if err != nil {
			return nil, err
		}
		components = append(components, component)
	}
	refs := make([]string, len(components))
	for i, component := range components {
		refs[i] = component.BOMRef
	}
	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{Component: &subject}
	bom.Components = &components
	bom.Dependencies = &[]cdx.Dependency{{Ref: subject.BOMRef, Dependencies: &refs}}
	return bom, nil
}

// goLibrary is Go's standard library. It has a checksum only where the toolchain
// came as a module: then Go has verified it like any other.
func goLibrary(goVersion string) (cdx.Component, error) {
	version := strings.TrimPrefix(goVersion, "go")
	out := cdx.Component{
		BOMRef: "pkg:golang/std@" + version, Type: cdx.ComponentTypeLibrary, Name: "std", Version: version,
		PackageURL: "pkg:golang/std@" + version,
	}
	env, err := exec.Command("go", "env", "GOMODCACHE", "GOHOSTOS", "GOHOSTARCH").Output()
	if err != nil {
		return out, fmt.Errorf("go env: %w", err)
	}
	words := strings.Fields(string(env))
	if len(words) != 3 {
		return out, fmt.Errorf("go env: %q", env)
	}
	sum, err := os.ReadFile(filepath.Join(words[0], "cache", "download", "golang.org", "toolchain", "@v",
		"v0.0.1-"+goVersion+"."+words[1]+"-"+words[2]+".ziphash"))
	if errors.Is(err, os.ErrNotExist) {
		return out, nil
	}
	out.Properties = &[]cdx.Property{{Name: "go:toolchain:h1", Value: strings.TrimSpace(string(sum))}}
	return out, err
}

func library(module *debug.Module) (cdx.Component, error) {
	if module.Replace != nil {
		module = module.Replace
	}
	sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(module.Sum, "h1:"))
	if err != nil || len(sum) != sha256.Size {
		return cdx.Component{}, fmt.Errorf("%s has no checksum: it did not come from a module proxy", module.Path)
	}
	url := "pkg:golang/" + module.Path + "@" + module.Version
	return cdx.Component{
		BOMRef: url, Type: cdx.ComponentTypeLibrary, Name: module.Path, Version: module.Version, PackageURL: url,
		// Go's h1: the SHA-256 of the list of the module's files and theirs.
		Properties: &[]cdx.Property{{Name: "go:h1", Value: module.Sum}},
	}, nil
}
