package conformance

import (
	"bufio"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
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
	checkDemo(t, blocks[0][1])
	test := exec.CommandContext(t.Context(), "bash", "-ec", blocks[1][1])
	test.Dir = root
	output, err := test.CombinedOutput()
	if err != nil || !strings.Contains(string(output), "# pass 10\n# fail 0\n") || !strings.Contains(string(output), "# skipped 0") {
		t.Fatalf("the test in the browser: %v\n%s", err, output)
	}
}

// checkDemo opens the page at the address that the demo prints.
func checkDemo(t *testing.T, command string) {
	t.Helper()
	demo := exec.CommandContext(t.Context(), "bash", "-ec", command)
	demo.Dir = root
	demo.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	demo.Cancel = func() error { return syscall.Kill(-demo.Process.Pid, syscall.SIGTERM) } // bash and all that it started
	output, err := demo.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := demo.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = demo.Cancel()
		_ = demo.Wait()
	}()
	var said strings.Builder
	for lines := bufio.NewScanner(output); lines.Scan(); {
		said.WriteString(lines.Text() + "\n")
		if address := regexp.MustCompile(`^Open (http://\S+) `).FindStringSubmatch(lines.Text()); address != nil {
			page, err := http.Get(address[1])
			if err != nil {
				t.Fatal(err)
			}
			page.Body.Close()
			if page.StatusCode != http.StatusOK {
				t.Errorf("the demo answers %s", page.Status)
			}
			return
		}
	}
	t.Fatalf("the demo does not say where it is:\n%s", said.String())
}
