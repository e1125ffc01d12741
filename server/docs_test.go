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
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
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

// A support engineer finds each reason that a record or a backend's log can name.
func TestSupportExplainsEveryReason(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/support.md")
	if err != nil {
		t.Fatal(err)
	}
	for number, name := range pb.ErrorReason_name {
		if reason := strings.TrimPrefix(name, "ERROR_REASON_"); number != 0 && !strings.Contains(string(page), "`"+reason+"`") {
			t.Errorf("docs/support.md does not explain %s", reason)
		}
	}
}
