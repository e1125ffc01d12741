package manifest_test

import (
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/chatidentity/chatidentity/server/internal/manifest"
)

// A value arrives in the pod as it was given, in YAML over lines and in braces: whatever looks like
// YAML, like Kubernetes' $(NAME) or like a placeholder of ours is text.
func TestVariablesKeepTheirValues(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		"1/s:20", "a: b", "a #b", " spaces ", `"quoted" 'both' \ways\`, "- a", "{a: b}", "[a]", "*a", "&a", "!a", "|", "%a", "@a", "`a`",
		"0600", "true", "null", "~", "1e3", "Grüße, 世界 🙂", "\u00a0\u2028\ufeff", "line\nnext", "tab\t", "<a>&b",
		"$(POD_NAME)", "$$(POD_NAME)", "$name", "$image$secret$uid", "$env[CHATIDENTITY_ORGANIZATION]", "{{ .Values }}", "{instance}",
	} {
		for form, raw := range workloadForms {
			given := []manifest.Variable{{"CHATIDENTITY_LIMIT_REDIS_PREFIX", value}, {"CHATIDENTITY_ORGANIZATION", "acme"}}
			if got := variablesIn(t, raw, given); got["CHATIDENTITY_LIMIT_REDIS_PREFIX"] != value || got["CHATIDENTITY_ORGANIZATION"] != "acme" {
				t.Errorf("%s: %q gives %q", form, value, got)
			}
		}
	}
}

var workloadForms = map[string]string{
	"over lines":     "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - name: a\n",
	"with CRLF":      "apiVersion: v1\r\nkind: Pod\r\nmetadata: {name: a}\r\nspec:\r\n  containers:\r\n  - name: a\r\n",
	"in braces":      "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a}]}\n",
	"as JSON":        `{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": [{"name": "a"}]}}`,
	"beside another": "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  initContainers: [{name: b}]\n  containers: [{name: a}]\n",
}

// variablesIn returns the variables of the sidecar that a pod gets.
func variablesIn(t *testing.T, raw string, given []manifest.Variable) map[string]string {
	t.Helper()
	result, _, err := manifest.Add(raw, manifest.Options{Image: image, Env: given})
	if err != nil {
		t.Fatalf("%q: %v", given, err)
	}
	var pod struct {
		Spec struct {
			InitContainers []struct {
				Env []struct{ Name, Value string }
			} `yaml:"initContainers"`
		}
	}
	if err := yaml.Unmarshal([]byte(result), &pod); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, v := range pod.Spec.InitContainers[0].Env {
		got[v.Name] = v.Value
	}
	return got
}

// The container's own variables, and those whose flags are among its arguments, are known.
func TestWhatIsSetInAnyCase(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		options manifest.Options
		want    bool
	}{
		"CHATIDENTITY_SECRET_FILE":               {manifest.Options{}, true},
		"CHATIDENTITY_ADMIN_LISTEN":              {manifest.Options{}, true},
		"CHATIDENTITY_IDENTIFIER_POLICY":         {manifest.Options{}, true},
		"CHATIDENTITY_AUDIT_FILE":                {manifest.Options{AuditVolume: "claim"}, true},
		"CHATIDENTITY_AUDIT_MAX_SIZE":            {manifest.Options{}, true},
		"CHATIDENTITY_AUDIT_MAX_FILES":           {manifest.Options{AuditVolume: "claim"}, false},
		"CHATIDENTITY_LISTEN":                    {manifest.Options{}, false},
		"CHATIDENTITY_SOCKET_MODE":               {manifest.Options{UnixSocket: true}, true},
		"CHATIDENTITY_LIMIT_REDIS_PASSWORD_FILE": {manifest.Options{Redis: "rediss://redis"}, true},
		"CHATIDENTITY_LIMIT_REDIS_PREFIX":        {manifest.Options{Redis: "rediss://redis"}, false},
	} {
		if got := test.options.Sets(name); got != test.want {
			t.Errorf("%s with %+v: %t", name, test.options, got)
		}
	}
}

// What the container signs is its default, which Env replaces.
func TestTheIdentifierPolicyIsADefault(t *testing.T) {
	t.Parallel()
	const name = "CHATIDENTITY_IDENTIFIER_POLICY"
	for form, raw := range workloadForms {
		if got := variablesIn(t, raw, nil)[name]; got != "external-id" {
			t.Errorf("%s: %q without another", form, got)
		}
		given := []manifest.Variable{{name, "as-given"}}
		if got := variablesIn(t, raw, given)[name]; got != "as-given" {
			t.Errorf("%s: %q in place of as-given", form, got)
		}
		if (manifest.Options{Env: given}).Sets(name) {
			t.Errorf("%s is refused", name)
		}
	}
}
