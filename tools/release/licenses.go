package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/google/licensecheck"
	"golang.org/x/mod/module"
)

// leastCover is how many percent of a license file its known license covers.
const leastCover = 75

var licenseFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents)([.-].*)?$`)

// licenses writes the license texts of all that is compiled into the programs:
// most of them ask for that. A module without a license that is known fails.
func (r *release) licenses(ctx context.Context) error {
	cache, err := r.run(ctx, r.source, nil, "go", "env", "GOMODCACHE")
	if err != nil {
		return err
	}
	root, err := r.run(ctx, r.source, nil, "go", "env", "GOROOT")
	if err != nil {
		return err
	}
	folders := map[string]string{"std": root}
	names := []string{"std"}
	for _, p := range r.platforms {
		info, err := buildinfo.ReadFile(r.file(p.name()))
		if err != nil {
			return err
		}
		for _, dependency := range info.Deps {
			name := dependency.Path + "@" + dependency.Version
			if folders[name] != "" {
				continue
			}
			escaped, err := module.EscapePath(dependency.Path)
			if err != nil {
				return err
			}
			folders[name], names = filepath.Join(cache, escaped+"@"+dependency.Version), append(names, name)
		}
	}
	var out bytes.Buffer
	for _, name := range names {
		if err := license(&out, name, folders[name]); err != nil {
			return err
		}
	}
	return write(r.file("licenses.txt"), out.String())
}

// license appends the license files of one module, under the names of what is in them.
func license(out *bytes.Buffer, name, folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	known := false
	for _, entry := range entries {
		if entry.IsDir() || !licenseFile.MatchString(entry.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(folder, entry.Name()))
		if err != nil {
			return err
		}
		var ids []string
		cover := licensecheck.Scan(text)
		for _, match := range cover.Match {
			ids = append(ids, match.ID)
		}
		known = known || cover.Percent >= leastCover
		fmt.Fprintf(out, "==== %s: %s (%s)\n\n%s\n\n", name, entry.Name(), strings.Join(ids, ", "), bytes.TrimSpace(text))
	}
	if !known {
		return fmt.Errorf("%s has no license that is known: read it, and ship it only if you may", name)
	}
	return nil
}
