package observe

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

const dashboardFile = "../grafana/chatidentity.json"

var update = flag.Bool("update", false, "write the files that are made here anew")

// TestMain keeps results out of go's test cache, which would call them good for changed files and a
// changed program: it looks at no file outside this module. Without the log of what the test binary
// opened, cmd/go keeps nothing.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.testlogfile", ""); err != nil {
		panic(err)
	}
	cog.NewRuntime().RegisterPanelcfgVariant(timeseries.VariantConfig())
	cog.NewRuntime().RegisterDataqueryVariant(prometheus.VariantConfig())
	os.Exit(m.Run())
}

// made compares a file with what makes it, or writes it.
func made(t *testing.T, file string, want []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what it is made from: run `make observe UPDATE=-update`", file)
	}
}

func TestDashboardFile(t *testing.T) { //nolint:paralleltest // it may write what others read
	text, err := Dashboard()
	if err != nil {
		t.Fatal(err)
	}
	made(t, dashboardFile, text)
}

// readDashboard reads the file by Grafana's schema: an unknown field, a wrong type and a value that
// is not allowed are errors.
func readDashboard(text []byte) (dashboard.Dashboard, error) {
	var read dashboard.Dashboard
	// This method returns an empty list of errors as an error, and then leaves panels out.
	if err := new(dashboard.Dashboard).UnmarshalJSONStrict(text); err != nil && err.Error() != "" {
		return read, err
	}
	if err := json.Unmarshal(text, &read); err != nil {
		return read, err
	}
	return read, read.Validate()
}

func TestDashboardHoldsToItsSchema(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	read, err := readDashboard(text)
	if err != nil {
		t.Fatal(err)
	}
	questions := []string{}
	for _, one := range read.Panels {
		if one.RowPanel != nil {
			questions = append(questions, *one.RowPanel.Title)
		}
	}
	if got := strings.Join(questions, " "); got != "Do users get tokens? How fast? Who is refused, and why? "+
		"Is the record kept? Is the secret fresh? Is the clock right? Who floods?" {
		t.Errorf("it answers: %s", got)
	}
	for name, change := range map[string][2]string{
		"an unknown field of the dashboard": {`"uid": "chatidentity"`, `"uuid": "chatidentity"`},
		"an unknown field of a panel":       {`"description"`, `"descriptions"`},
		"an unknown field of a query":       {`"legendFormat"`, `"legend"`},
		"a number that is text":             {`"h": 7`, `"h": "7"`},
		"a column beyond the last":          {`"w": 12`, `"w": 30`},
	} {
		if !bytes.Contains(text, []byte(change[0])) {
			t.Errorf("%s: the dashboard has no %s", name, change[0])
		}
		if _, err := readDashboard(bytes.Replace(text, []byte(change[0]), []byte(change[1]), 1)); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// expressions returns those of the file, by panel, with Grafana's variables filled in as Grafana
// does for a scrape interval of 15 s.
func expressions(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	read, err := readDashboard(text)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	for _, one := range read.Panels {
		if one.Panel == nil {
			continue
		}
		for _, target := range one.Panel.Targets {
			query, ok := target.(*prometheus.Dataquery)
			if !ok {
				t.Fatalf("%s: a query is a %T", *one.Panel.Title, target)
			}
			filled := strings.NewReplacer("$job", ".+", "$__rate_interval", "1m").Replace(query.Expr)
			found[*one.Panel.Title] = append(found[*one.Panel.Title], filled)
		}
	}
	return found
}
