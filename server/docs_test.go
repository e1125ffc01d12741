package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/kustomer/standin"
)

// The commands of docs/secret.md, as they stand there. kubectl is one that keeps
// what it is given.
func TestCommandsOfTheSecretsPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/secret.md")
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	for _, block := range regexp.MustCompile("(?s)<!-- run by: TestCommandsOfTheSecretsPage -->\n```sh\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		script.WriteString(block[1])
	}
	if commands := strings.Count(script.String(), "\n"); commands < 3 {
		t.Fatalf("%d commands on the page", commands)
	}
	url := startVendor(t, standin.New(standin.Options{APIKey: canaryAPIKey, Secret: canarySecret}))
	directory := t.TempDir()
	for name, text := range map[string]string{"api.key": canaryAPIKey + "\n", "kubectl": "#!/bin/sh\necho \"$@\" >kubectl.args; cat >applied\n"} {
		if err := os.WriteFile(filepath.Join(directory, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	c := exec.Command("sh", "-e", "-u", "-x", "-c", script.String())
	c.Dir = directory
	c.Env = append(os.Environ(), "PATH="+filepath.Dir(program)+":"+directory+":"+os.Getenv("PATH"),
		"CHATIDENTITY_API_URL="+url, "CHATIDENTITY_LISTEN=127.0.0.1:0", "CHATIDENTITY_ADMIN_LISTEN=127.0.0.1:0")
	output, err := c.CombinedOutput()
	if err != nil || strings.Contains(string(output), "canary") {
		t.Fatalf("%v:\n%s", err, output)
	}
	if fetched, err := os.ReadFile(filepath.Join(directory, "kustomer.secret")); err != nil || string(fetched) != canarySecret+"\n" {
		t.Errorf("the file holds %q, %v", fetched, err)
	}
	if applied, err := os.ReadFile(filepath.Join(directory, "applied")); err != nil || !strings.Contains(string(applied), "kind: Secret\n") {
		t.Errorf("kubectl was given %q, %v", applied, err)
	}
	for _, line := range []string{`(?m)^ok +signing secret +read from kustomer.secret`, `(?m)^ok +identifier policy +external-id$`} {
		if !regexp.MustCompile(line).Match(output) {
			t.Errorf("doctor does not say %s:\n%s", line, output)
		}
	}
}

// A support engineer finds each reason that a record or a backend's log can name, and somebody with
// an error in hand finds a section with its reason.
func TestPagesExplainEveryReason(t *testing.T) {
	t.Parallel()
	support, troubleshooting := readFile(t, "../docs/support.md"), readFile(t, "../docs/troubleshooting.md")
	for number, name := range pb.ErrorReason_name {
		reason := strings.TrimPrefix(name, "ERROR_REASON_")
		if number != 0 && !strings.Contains(support, "`"+reason+"`") {
			t.Errorf("docs/support.md does not explain %s", reason)
		}
		if number != 0 && !strings.Contains(troubleshooting, "\n### "+reason+"\n") {
			t.Errorf("docs/troubleshooting.md has no section %s", reason)
		}
	}
}

// The page of troubleshooting has the exit codes of every command.
func TestTroubleshootingHasExitCodesOfEveryCommand(t *testing.T) {
	t.Parallel()
	_, table, _ := strings.Cut(readFile(t, "../docs/troubleshooting.md"), "\n## Exit codes\n")
	table, _, _ = strings.Cut(table, "\n## ")
	for _, command := range newRoot(&console{}).Commands() {
		name := command.Name()
		if subcommands := command.Commands(); len(subcommands) > 0 && name != "completion" {
			for _, sub := range subcommands {
				if !strings.Contains(table, "`"+name+" "+sub.Name()+"`") {
					t.Errorf("docs/troubleshooting.md has no exit codes of %s %s", name, sub.Name())
				}
			}
		} else if !strings.Contains(table, "`"+name+"`") {
			t.Errorf("docs/troubleshooting.md has no exit codes of %s", name)
		}
	}
}
