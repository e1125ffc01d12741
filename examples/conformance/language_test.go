package conformance

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// language is one of the examples: a folder beside this one.
type language struct {
	name  string
	tools []string // programs that its README needs
	// refusesShortKeys: its JWT library takes no HS256 key under 32 bytes, as
	// RFC 7518 wants. Kustomer's own secrets are not known to be as long.
	refusesShortKeys bool
	// keepsDeadline: its deadline is not sent along; the call is cancelled.
	keepsDeadline bool
	// metadata is a program in testdata that sends large metadata, and runs how it
	// is run in the example's folder.
	metadata, runs string
}

var languages = []language{
	{name: "go", tools: []string{"go"}},
	{name: "python", tools: []string{"python3"}, metadata: "metadata.py", runs: ".venv/bin/python"},
	{name: "node", tools: []string{"node", "npm"}, metadata: "metadata.mjs", runs: "node"},
	{name: "ruby", tools: []string{"ruby", "puma", "grpc_tools_ruby_protoc"}},
	{name: "java", tools: []string{"java", "mvn"}, refusesShortKeys: true},
	{name: "rust", tools: []string{"cargo"}, keepsDeadline: true},
}

// requireTools skips by name where a tool is absent; under CI it fails.
func (l language) requireTools(t *testing.T) {
	t.Helper()
	for _, tool := range append([]string{"bash", "curl"}, l.tools...) {
		if _, err := exec.LookPath(tool); err == nil {
			continue
		}
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not installed: examples/install.sh installs it", tool)
		}
		t.Skipf("%s is not installed", tool)
	}
}

// readme is what a reader is told to type.
type readme struct {
	run    string // one command that builds and starts the backend
	try    string // curl
	verify string // checks the vectors with the language's JWT library
}

var shellBlock = regexp.MustCompile("(?s)```sh\n(.*?)```")

// readme reads the three shell blocks of the language's README.
func (l language) readme(t *testing.T) readme {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "examples", l.name, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := shellBlock.FindAllStringSubmatch(string(text), -1)
	if len(blocks) != 3 {
		t.Fatalf("the README has %d shell blocks, want run, try and verify", len(blocks))
	}
	parts := readme{blocks[0][1], blocks[1][1], blocks[2][1]}
	if command := strings.TrimSpace(parts.run); strings.Contains(command, "\n") {
		t.Fatalf("more than one command to run:\n%s", command)
	}
	return parts
}
