package manifest_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/manifest"
)

var update = flag.Bool("update", false, "write the golden files anew")

const image = "registry.example.com/chatidentity:0.1.0"

// optionsOf are those of workloads that want more than the sidecar alone.
var optionsOf = map[string]manifest.Options{
	"unix-socket":                  {UnixSocket: true},
	"unix-socket-second-container": {UnixSocket: true, AppContainer: "api"},
	"empty-lists":                  {UnixSocket: true, AllowUID: new(uint32(10001))},
	"unicode":                      {UnixSocket: true, AllowUID: new(uint32(10001))},
	"typed-list":                   {UnixSocket: true, AllowUID: new(uint32(10001))},
	"audit-volume":                 {AuditVolume: "chatidentity-audit"},
	"helm-rendered":                {AuditVolume: "chatidentity-audit", AuditKey: "audit-keys"},
	"redis-and-ready":              {Redis: "rediss://chatidentity@redis.example.com:6379/0", ReadyGated: true},
	"job-migration":                {AuditKey: "chatidentity-audit", Secret: "chat"},
	"json":                         {Env: []manifest.Variable{{"CHATIDENTITY_LIMIT_CUSTOMER", "1/s:20"}}},
	"web-deployment":               {Env: []manifest.Variable{{"CHATIDENTITY_LIMIT_CUSTOMER", "1/s:20"}, {"CHATIDENTITY_ORGANIZATION", `a: "b" #c`}}},
}

// TestWorkloads adds the sidecar to workloads of many shapes. Each golden file holds the original's
// lines in their order, and a second run changes nothing.
func TestWorkloads(t *testing.T) {
	t.Parallel()
	for name, raw := range workloads(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := optionsOf[name]
			options.Image = image
			result, changes, err := manifest.Add(raw, options)
			if errors.Is(err, manifest.ErrNoWorkload) || err != nil {
				t.Fatal(err)
			}
			compareGolden(t, filepath.Join("testdata", "golden", name+".yaml"), result+list(changes))
			if lost := lostLines(raw, result); len(lost) > linesThatChange[name] {
				t.Errorf("lines were changed or moved: %q", lost)
			}
			again, changes, err := manifest.Add(result, options)
			if err != nil || again != result {
				t.Errorf("a second run gives %v and\n%s", err, again)
			}
			for _, change := range changes {
				if change.Changed {
					t.Errorf("a second run changes %+v", change)
				}
			}
		})
	}
}

// Every option has its place in every shape, beside those of all others.
func TestEveryOptionInEveryShape(t *testing.T) {
	t.Parallel()
	all := manifest.Options{
		Image: image, UnixSocket: true, AllowUID: new(uint32(10001)), AuditVolume: "chatidentity-audit",
		Redis: "rediss://chatidentity@redis.example.com:6379/0", ReadyGated: true,
		Env: []manifest.Variable{{"CHATIDENTITY_LIMIT_CUSTOMER", "1/s:20"}},
	}
	for name, raw := range workloads(t) {
		result, _, err := manifest.Add(raw, all)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if again, _, err := manifest.Add(result, all); err != nil || again != result {
			t.Errorf("%s: a second run gives %v and\n%s", name, err, again)
		}
	}
}

// linesThatChange counts the lines of each file that cannot stay: something is put in their midst.
var linesThatChange = map[string]int{
	"empty-lists": 4, "null-values": 2, "flow-maps": 2, "one-line-flow": 1, "json": 2, "unicode": 2, "generate-name": 1,
	"no-final-newline": 1, "ended-documents": 1, "helm-rendered": 1,
}

// lostLines returns the lines of before that after does not have in their order.
func lostLines(before, after string) []string {
	rest := strings.SplitAfter(after, "\n")
	var lost []string
	for line := range strings.Lines(before) {
		at := 0
		for at < len(rest) && rest[at] != line {
			at++
		}
		if at == len(rest) {
			lost = append(lost, line)
			continue
		}
		rest = rest[at+1:]
	}
	return lost
}

func workloads(t testing.TB) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("testdata/workloads/*.yaml")
	if err != nil || len(paths) < 30 {
		t.Fatalf("%d workloads, %v", len(paths), err)
	}
	all := map[string]string{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimSuffix(filepath.Base(path), ".yaml")] = string(text)
	}
	return all
}

// list ends a golden file with what became of each object.
func list(changes []manifest.Change) string {
	var b strings.Builder
	for _, change := range changes {
		verb := "changed"
		if !change.Changed {
			verb = "skipped: " + change.Why
		}
		b.WriteString("\n# " + change.Kind + " " + change.Name + ": " + verb)
	}
	return b.String() + "\n"
}

func compareGolden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil || got != string(want) {
		t.Errorf("not %s (go test ./server/internal/manifest -update writes it): %v\n%s", path, err, got)
	}
}
