package main

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/kustomer/standin"
)

func TestSecretFetch(t *testing.T) {
	t.Parallel()
	vendor := standin.New(standin.Options{APIKey: "canary-api-key", Secret: testSecret})
	url, stop, err := vendor.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	directory := t.TempDir()
	file := filepath.Join(directory, "secret")
	if err := os.WriteFile(file, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	env := []string{"KUSTOMER_API_KEY=canary-api-key"}
	manifest := "kind: Secret\ntype: Opaque\nmetadata:\n  name: kustomer-chat\n  namespace: app\ndata:\n  secret: " +
		base64.StdEncoding.EncodeToString([]byte(testSecret)) + "\n"
	for name, test := range map[string]struct {
		env    []string
		args   []string
		code   int
		stdout string
		stderr string
	}{
		"standard output":  {env, nil, 0, testSecret + "\n", "secret_id"},
		"file":             {env, []string{"--file", file}, 0, "", "secret_id"},
		"manifest":         {env, []string{"--manifest", "kustomer-chat", "--namespace", "app"}, 0, manifest, "secret_id"},
		"no key":           {nil, nil, 2, "", "--api-key-file"},
		"wrong key":        {[]string{"KUSTOMER_API_KEY=canary-wrong"}, nil, 1, "", "org.admin"},
		"no such place":    {env, []string{"--file", "/no/such/place"}, 1, "", "--file /no/such/place"},
		"no name":          {env, []string{"--manifest", "Not A Name"}, 2, "", "--manifest"},
		"no namespace":     {env, []string{"--manifest", "x", "--namespace", "a\nb: c"}, 2, "", "--namespace"},
		"no organization":  {env, []string{"--api-url", "https://{organization}.api.kustomerapp.com"}, 2, "", "--organization"},
		"nobody is there":  {env, []string{"--api-url", "http://127.0.0.1:1", "--timeout", "50ms"}, 1, "", "127.0.0.1:1"},
		"no time":          {env, []string{"--timeout", "0s"}, 2, "", "--timeout"},
		"the app's domain": {env, []string{"--api-url", "https://acme.kustomerapp.com"}, 2, "", "acme.api.kustomerapp.com"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := command(t, test.env, "", append([]string{"secret", "fetch", "--api-url", url}, test.args...)...)
			if code != test.code || !strings.HasSuffix(stdout, test.stdout) || !strings.Contains(stderr, test.stderr) {
				t.Errorf("code %d, output %q, error %q", code, stdout, stderr)
			}
			if strings.Contains(stdout+stderr, "canary") || strings.Contains(stderr, testSecret) {
				t.Errorf("a secret in %q", stdout+stderr)
			}
			if name != "file" {
				return
			}
			info, err := os.Stat(file)
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("mode %v, error %v; want 0600", info.Mode(), err)
			}
			if text, err := os.ReadFile(file); err != nil || string(text) != testSecret+"\n" {
				t.Errorf("file %q, error %v", text, err)
			}
		})
	}
}
