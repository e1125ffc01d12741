package main

import (
	"os"
	"path/filepath"
	"testing"
)

// The benchmark switches parts of the sidecar off by changing lines of its source. Whoever changes
// those lines learns here that the table of parts must follow.
func TestPartsAreInTheSource(t *testing.T) {
	t.Parallel()
	for _, p := range parts {
		for _, e := range p.edits {
			content, err := os.ReadFile(filepath.Join("..", "..", e.file))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := e.apply(string(content)); err != nil {
				t.Errorf("%s: %v", p.name, err)
			}
		}
	}
}
