package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// The scripts complete in the shells themselves: the tab key in bash and zsh, fish's own question.
func TestCompletionInTheShells(t *testing.T) {
	t.Parallel()
	const typed = "chatidentity versi\t--output text\nexit\n"
	for shell, test := range map[string]struct{ command, input, want string }{
		"bash": {
			`script -qec "bash --norc -i" /dev/null`,
			"source /usr/share/bash-completion/bash_completion; source <(chatidentity completion bash)\n" + typed,
			"\nchatidentity " + buildVersion() + " (go",
		},
		"zsh": {
			`script -qec "zsh -f -i" /dev/null`,
			"autoload -U compinit; compinit -u -D; source <(chatidentity completion zsh)\n" + typed,
			"\nchatidentity " + buildVersion() + " (go",
		},
		"fish": {
			`fish --no-config`,
			"chatidentity completion fish | source; complete -C 'chatidentity serve --limit-redis-pa'\n",
			"--limit-redis-password-file\tFile with the password.\n",
		},
	} {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			requireTool(t, shell)
			if _, err := os.Stat("/usr/share/bash-completion/bash_completion"); shell == "bash" && err != nil {
				requireTool(t, "the package bash-completion")
			}
			c := exec.CommandContext(t.Context(), "bash", "-c", test.command)
			c.Env = append(os.Environ(), "TERM=dumb", "HOME="+t.TempDir(), "PATH="+filepath.Dir(program)+":"+os.Getenv("PATH"))
			c.Stdin = strings.NewReader(test.input)
			out, err := c.CombinedOutput()
			if err != nil || !strings.Contains(string(out), test.want) {
				t.Errorf("%v, want %q:\n%q", err, test.want, out)
			}
		})
	}
}

// man shows the page without a warning, and it has every command and each flag of serve.
func TestManualPage(t *testing.T) {
	t.Parallel()
	requireTool(t, "groff")
	code, page, stderr := command(t, nil, "", "man")
	if code != exitOK || stderr != "" {
		t.Fatalf("man: code %d, %s", code, stderr)
	}
	groff := exec.CommandContext(t.Context(), "groff", "-man", "-Tutf8", "-P-cbou", "-ww", "-rLL=100n")
	groff.Stdin = strings.NewReader(page)
	var said strings.Builder
	groff.Stderr = &said
	shown, err := groff.Output()
	if err != nil || said.Len() > 0 {
		t.Fatalf("groff: %v\n%s", err, &said)
	}
	for _, entry := range manualEntries(newRoot(&console{})) {
		if !strings.Contains(string(shown), "\n   "+entry.CommandPath()) {
			t.Errorf("the page does not have %s", entry.CommandPath())
		}
		for _, group := range entry.groups {
			group.flags.VisitAll(func(flag *pflag.Flag) {
				if !strings.Contains(string(shown), "\n       --"+flag.Name) {
					t.Errorf("the page does not have --%s of %s", flag.Name, entry.CommandPath())
				}
			})
		}
	}
}

func requireTool(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing", name)
	}
	t.Skipf("%s is missing", name)
}
