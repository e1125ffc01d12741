package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/caller/callertest"
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

// Whoever meets a metric on /metrics finds it in docs/.
func TestEveryMetricIsDocumented(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("%d pages, error %v", len(pages), err)
	}
	var docs strings.Builder
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		docs.Write(text)
	}
	ca := callertest.NewCA(t)
	server := ca.Server(t)
	v := &volume{directory: t.TempDir()}
	_, line := newToken(t, "backend")
	v.swap(t, map[string][]byte{
		"ca.crt": ca.PEM, "tls.crt": server.Certificate, "tls.key": server.Key, "tokens": []byte(line + "\n"),
		"policy.yaml": []byte("callers: {}\n"), "audit.key": []byte(strings.Repeat("A", 44) + "\n"),
	})
	p := start(t, setup{env: []string{"KUSTOMER_API_KEY=" + canaryAPIKey}, args: []string{
		"--api-url", startVendor(t, standin.New(standin.Options{APIKey: canaryAPIKey, Secret: canarySecret})),
		"--listen", "0.0.0.0:0", "--tls-cert", v.path("tls.crt"), "--tls-key", v.path("tls.key"), "--tls-client-ca", v.path("ca.crt"),
		"--caller-tokens-file", v.path("tokens"), "--policy-file", v.path("policy.yaml"),
		"--audit-key-file", v.path("audit.key"), "--limit-redis", "redis://127.0.0.1:1",
	}})
	eventually(t, "secret", func() bool { return p.metric(t, `chatidentity_secret_available{organization="default"}`) == 1 })
	_, metrics := p.get(t, "/metrics")
	names := regexp.MustCompile(`(?m)^# HELP (chatidentity_\w+)`).FindAllStringSubmatch(metrics, -1)
	if len(names) < 25 {
		t.Errorf("only %d metrics", len(names))
	}
	for _, name := range names {
		if !strings.Contains(docs.String(), name[1]) {
			t.Errorf("no page of docs/ has %s", name[1])
		}
	}
}
