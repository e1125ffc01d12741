package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/secret"
)

// A secret is the same by every route: a file, the variable, and a variable that the policy file names.
func TestASecretIsTheSameByEveryRoute(t *testing.T) { //nolint:paralleltest // it sets the environment
	for text, want := range map[string]string{
		"canary":         "canary",
		"canary\n":       "canary",
		"canary\r\n":     "canary",
		"canary\n\n":     "canary\n",
		"canary\r\n\r\n": "canary\r\n",
		"canary \n":      "canary ",
		" canary":        " canary",
		"canary\r":       "canary\r",
		"\ncanary\n":     "\ncanary",
		`"canary"`:       `"canary"`,
		"\ufeffcanary\n": "\ufeffcanary",
	} {
		path := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv(secretKeyVariable, text)
		t.Setenv("ACME_SECRET", text)
		var serve Serve
		named := Variable{"ACME_SECRET", serve.variable("ACME_SECRET")}
		for route, source := range map[string]SecretSource{
			"file": {SecretFile: path}, "variable": {Secrets: TakeSecrets()}, "policy": {Secrets: Secrets{SecretKey: named}},
		} {
			store, err := source.Open(secret.Options{})
			if err != nil {
				t.Errorf("%s %q: %v", route, text, err)
				continue
			}
			if current, err := store.Current(); err != nil || current.Value.Reveal() != want {
				t.Errorf("%s %q: it is %q, error %v, want %q", route, text, current.Value.Reveal(), err, want)
			}
		}
	}
}

// What is blank is no secret, by every route.
func TestABlankSecretIsNone(t *testing.T) { //nolint:paralleltest // it sets the environment
	for _, text := range []string{"\n", " ", "\r\n", "\t\n", " \n\n"} {
		path := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := secret.ReadText(path); err == nil {
			t.Errorf("%q in a file is a secret", text)
		}
		t.Setenv(secretKeyVariable, text)
		if secrets := TakeSecrets(); secrets.SecretKey.isSet() {
			t.Errorf("%q in the variable is a secret", text)
		}
	}
}
