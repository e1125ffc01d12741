package manifest_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/manifest"
)

const deployment = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: shop
spec:
  template:
`

// nameless is a workload whose app has no name.
const nameless = deployment + "    spec:\n      containers: [{}]\n"

// What cannot be changed safely is refused, with the reason, and nothing is returned.
func TestRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		raw     string
		options manifest.Options
		want    string
	}{
		"no YAML":        {"a: [", manifest.Options{}, "not valid YAML"},
		"a template":     {deployment + "    {{- include \"pod\" . | nindent 4 }}\n", manifest.Options{}, "render templates first"},
		"duplicate keys": {deployment + "    spec:\n      containers: [{name: a}]\n      volumes: []\n      volumes: []\n", manifest.Options{}, `"volumes" already defined at line`},
		"no containers":  {deployment + "    spec:\n      containers: []\n", manifest.Options{}, "Deployment shop: there are no containers"},
		"no template":    {"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: shop}\n", manifest.Options{}, "Deployment shop: there are no containers"},
		"an alias": {
			"apiVersion: v1\nkind: List\nx: &pods\n  - {name: init, image: a}\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata: {name: a}\n  spec:\n" +
				"    initContainers: *pods\n    containers: [{name: a, image: a}]\n", manifest.Options{}, "line 10: initContainers is an alias (*pods)",
		},
		"shared through an anchor": {
			"apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata: {name: a}\n  spec: &spec\n    containers: [{name: a, image: a}]\n" +
				"- apiVersion: v1\n  kind: Pod\n  metadata: {name: b}\n  spec: *spec\n", manifest.Options{}, "mean something else",
		},
		"hidden behind a merge key": {
			"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nx: &base\n  initContainers: [{name: i, image: i}]\nspec:\n  <<: *base\n" +
				"  containers: [{name: a, image: a}]\n", manifest.Options{}, "a merge key (<<)",
		},
		"braces with an anchor": {
			"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  volumes: &v [{name: x}]\n  containers: [{name: a, image: a}]\n",
			manifest.Options{},
			"has an anchor or a tag",
		},
		"an empty value with an anchor": {
			"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  volumes: &v []\n  containers: [{name: a, image: a}]\n",
			manifest.Options{},
			"line 5: cannot insert into this empty value of volumes",
		},
		"a list that is text": {
			"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  volumes: none\n  containers: [{name: a, image: a}]\n",
			manifest.Options{},
			"volumes is neither a list nor a mapping",
		},
		"a lonely dash": {
			"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  volumes:\n  -\n    name: v\n  containers: [{name: a, image: a}]\n",
			manifest.Options{},
			"line 7: cannot find the dash",
		},
		"a volume of the same name": {
			"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  volumes: [{name: kustomer-secret}]\n  containers: [{name: a, image: a}]\n",
			manifest.Options{},
			"volumes has a kustomer-secret already",
		},
		"no such container": {
			deployment + "    spec:\n      containers:\n      - name: a\n",
			manifest.Options{UnixSocket: true, AppContainer: "app"},
			"line 9: there is no container app",
		},
		"an app without a name": {
			nameless, manifest.Options{UnixSocket: true, AllowUID: new(uint32(10001))}, "line 8: the app's container has no name",
		},
		"no user ID":       {deployment + "    spec:\n      containers: [{name: a}]\n", manifest.Options{UnixSocket: true}, "its user ID must be given"},
		"root":             {deployment + "    spec:\n      securityContext: {runAsUser: 0}\n      containers: [{name: a}]\n", manifest.Options{UnixSocket: true}, "other than 0"},
		"a list of itself": {"&x\nkind: List\nitems: [*x]\n", manifest.Options{}, manifest.ErrNoWorkload.Error()},
		"no workload":      {"kind: Service\n---\n# nothing\n", manifest.Options{}, manifest.ErrNoWorkload.Error()},
		"nothing":          {"", manifest.Options{}, manifest.ErrNoWorkload.Error()},
		"the second fails": {"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a}]}\n---\na: b: c\n", manifest.Options{}, "line 6: not valid YAML"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.options.Image = image
			result, _, err := manifest.Add(test.raw, test.options)
			if err == nil || !strings.Contains(err.Error(), test.want) || result != "" {
				t.Errorf("error %v, want %q; result %q", err, test.want, result)
			}
			if wants := test.want == manifest.ErrNoWorkload.Error(); errors.Is(err, manifest.ErrNoWorkload) != wants {
				t.Errorf("%v is ErrNoWorkload, want %t", err, wants)
			}
		})
	}
}
