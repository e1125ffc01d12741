package validate

import (
	"encoding/json"
	"testing"

	"sigs.k8s.io/yaml"
)

// itemsOf takes Lists apart.
func itemsOf(t *testing.T, documents []document) []document {
	t.Helper()
	var all []document
	for _, d := range documents {
		var list struct{ Items []json.RawMessage }
		if err := yaml.Unmarshal(d.yaml, &list); err != nil {
			t.Fatal(err)
		}
		if list.Items == nil {
			all = append(all, d)
		}
		for _, item := range list.Items {
			all = append(all, newDocument(t, item))
		}
	}
	return all
}
