package conformance

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestWeb follows the README of the browser's side: its own tests drive its page, and that of dev
// --web, in Chromium, against the real sidecar. It builds examples/node, which TestBackends builds
// too.
//
//nolint:paralleltest // see above
func TestWeb(t *testing.T) {
	browser := "/usr/bin/chromium"
	language{name: "web", tools: []string{"go", "node", "npm", browser}}.requireTools(t)
	text, err := os.ReadFile(filepath.Join(root, "examples/web/README.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := shellBlock.FindAllStringSubmatch(string(text), -1)
	if len(blocks) != 2 {
		t.Fatalf("the README has %d shell blocks, want demo and test", len(blocks))
	}
	test := exec.CommandContext(t.Context(), "bash", "-ec", blocks[1][1])
	test.Dir = root
	output, err := test.CombinedOutput()
	if err != nil || !strings.Contains(string(output), "# pass 10\n# fail 0\n") || !strings.Contains(string(output), "# skipped 0") {
		t.Fatalf("the test in the browser: %v\n%s", err, output)
	}
}
