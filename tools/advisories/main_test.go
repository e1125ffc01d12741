package main

import (
	"maps"
	"strings"
	"testing"
)

const said = `{"config":{"scanner_name":"govulncheck"}}
{"SBOM":{"go_version":"go1.26.8","modules":[{"path":"stdlib"}]}}
{"osv":{"id":"GO-1"}}
{"finding":{"osv":"GO-1","fixed_version":"v1.26.9","trace":[{"module":"stdlib"}]}}
{"finding":{"osv":"GO-1","fixed_version":"v1.26.9","trace":[{"module":"stdlib","package":"net/http","function":"Get"}]}}
{"finding":{"osv":"GO-2","trace":[{"module":"example.com/m","package":"example.com/m/p"}]}}
`

// Only what is compiled in counts, and an answer without modules is none.
func TestAffecting(t *testing.T) {
	t.Parallel()
	found, err := affecting(strings.NewReader(said))
	if want := map[string]string{"GO-1": "stdlib v1.26.9"}; err != nil || !maps.Equal(found, want) {
		t.Errorf("%v, %v, want %v", found, err, want)
	}
	for _, none := range []string{"", `{"config":{}}`, `{"SBOM":{"modules":[]}}`, "no JSON"} {
		if found, err := affecting(strings.NewReader(none)); err == nil {
			t.Errorf("%q gave %v", none, found)
		}
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		found, known map[string]string
		want         string // in the error; empty: none
	}{
		"nothing":           {nil, nil, ""},
		"a known one":       {map[string]string{"GO-1": "m v2"}, map[string]string{"GO-1": "soon"}, ""},
		"a new one":         {map[string]string{"GO-1": "m v2"}, nil, "GO-1 affects"},
		"one that is gone":  {nil, map[string]string{"GO-1": "soon"}, "take it out"},
		"a known and a new": {map[string]string{"GO-1": "m v2", "GO-2": "m v3"}, map[string]string{"GO-1": "soon"}, "GO-2 affects"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			err := judge(&out, test.found, test.known)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q\n%s", err, test.want, &out)
			}
		})
	}
}
