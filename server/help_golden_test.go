package main

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/chatidentity/chatidentity/server/internal/config"
)

var update = flag.Bool("update", false, "write the golden files of help anew")

// Each command's help is kept in testdata/help.
func TestHelp(t *testing.T) {
	t.Parallel()
	for _, name := range commandNames(newRoot(&console{})) {
		page := filepath.Join("testdata", "help", strings.ReplaceAll(name, " ", "-")+".txt")
		code, stdout, stderr := command(t, nil, "", append(strings.Fields(name)[1:], "--help")...)
		if code != 0 || stderr != "" {
			t.Errorf("%s --help: code %d, error %q", name, code, stderr)
		}
		if *update {
			if err := os.WriteFile(page, []byte(stdout), 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(page)
		if err != nil || stdout != string(want) {
			t.Errorf("%s --help is not %s (go test ./server -run TestHelp -update writes it): %v\n%s", name, page, err, stdout)
		}
		if !strings.Contains(stdout, "\nExample:\n") && !strings.Contains(name, "completion") { // cobra's own has them elsewhere
			t.Errorf("%s --help has no example", name)
		}
	}
}

func commandNames(command *cobra.Command) []string {
	names := []string{command.CommandPath()}
	for _, child := range command.Commands() {
		names = append(names, commandNames(child)...)
	}
	return names
}

// Whatever the layout, help tells each flag of serve with its group, default and variable; those that
// take serve's configuration have the same. Only dev leaves out what it refuses.
func TestHelpTellsEveryFlagOfServe(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"serve", "dev", "doctor"} {
		_, stdout, _ := command(t, nil, "", name, "--help")
		words := " " + strings.Join(strings.Fields(stdout), " ") + " "
		for _, group := range new(config.Serve).Flags() {
			var tells []string
			for _, flag := range group.Flags {
				if name == "dev" && slices.Contains(refusedInDev, flag.Name) {
					if strings.Contains(stdout, "\n      --"+flag.Name+" ") {
						t.Errorf("dev --help tells of --%s, which dev refuses", flag.Name)
					}
					continue
				}
				tells = append(tells, strings.TrimRight(" --"+flag.Name+" "+flag.Placeholder, " ")+" ", "$"+flag.Variable()+")")
				if flag.Default != "" {
					tells = append(tells, "(default "+flag.Default+", $"+flag.Variable()+")")
				}
			}
			if len(tells) > 0 {
				tells = append(tells, strings.Join(strings.Fields(group.Title), " "))
			}
			for _, tell := range tells {
				if !strings.Contains(words, tell) {
					t.Errorf("%s --help does not tell %q", name, tell)
				}
			}
		}
	}
}

// The scripts for shells come from cobra; what they ask the program is answered.
func TestCompletion(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if code, stdout, stderr := command(t, nil, "", "completion", shell); code != exitOK || !strings.Contains(stdout, "__complete") || stderr != "" {
			t.Errorf("completion %s: code %d, error %q\n%.200s", shell, code, stderr, stdout)
		}
	}
	for args, want := range map[string]string{
		"__complete ser":                   "serve\tRun the sidecar.\n",
		"__complete audit v":               "verify\t",
		"__complete serve --limit-redis-p": "--limit-redis-password-file\t",
	} {
		if code, stdout, _ := command(t, nil, "", strings.Fields(args)...); code != exitOK || !strings.HasPrefix(stdout, want) {
			t.Errorf("%s: code %d, output %q, want %q", args, code, stdout, want)
		}
	}
}
