package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

var heading = regexp.MustCompile(`(?m)^## (.*)$`)

// notes writes the section of the CHANGELOG about this version.
func (r *release) notes(context.Context) error {
	text, err := os.ReadFile(filepath.Join(r.source, "CHANGELOG.md"))
	if err != nil {
		return err
	}
	section, err := section(string(text), r.version)
	if err != nil {
		return err
	}
	return write(r.file("notes.md"), section)
}

// section returns what stands under the heading of the version, or under
// "Unreleased" where the version has none yet.
func section(changelog, version string) (string, error) {
	found := heading.FindAllStringSubmatchIndex(changelog, -1)
	for _, name := range []string{version, "Unreleased"} {
		for i, at := range found {
			title, _, _ := strings.Cut(changelog[at[2]:at[3]], " ")
			if strings.Trim(title, "[]") != name {
				continue
			}
			end := len(changelog)
			if i+1 < len(found) {
				end = found[i+1][0]
			}
			return fmt.Sprintf("# chatidentity %s\n\n%s\n", version, strings.TrimSpace(changelog[at[1]:end])), nil
		}
	}
	return "", fmt.Errorf("CHANGELOG.md has no section %q, nor Unreleased", version)
}
