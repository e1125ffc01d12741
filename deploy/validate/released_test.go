package validate

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
)

// The chart of a release is what `helm package --version` makes of the one in this tree, and serves
// an app's chart as the same dependency.
func TestTheReleasedChart(t *testing.T) {
	t.Parallel()
	released := loadChart(t, releasedChart(t))
	library := loadChart(t, filepath.Join(charts, "chatidentity"))
	library.Metadata.Version = released.Metadata.Version
	packed, err := chartutil.Save(library, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	equalCharts(t, released, loadChart(t, packed))

	app := loadChart(t, filepath.Join(charts, "example"))
	app.Metadata.Dependencies[0].Version = released.Metadata.Version
	app.AddDependency(released)
	values := map[string]any{"image": "registry.example.com/chatidentity:1", "unixSocket": true}
	with, err := renderChart(t, app, values)
	if err != nil {
		t.Fatal(err)
	}
	without, err := helmTemplate(t, exampleChart(t), values)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(with.yaml, without.yaml) {
		t.Errorf("with the released chart:\n%s\nwith that of the tree:\n%s", with.yaml, without.yaml)
	}
}

// releasedChart returns the chart of the release in dist/release, which must be of this commit.
func releasedChart(t *testing.T) string {
	t.Helper()
	commit, err := exec.CommandContext(t.Context(), "git", "rev-parse", "HEAD").Output()
	if err != nil {
		t.Fatal(err)
	}
	provenance, _ := filepath.Glob("../../dist/release/*_provenance.intoto.json")
	for _, path := range provenance {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(text, bytes.TrimSpace(commit)) {
			return strings.TrimSuffix(path, "provenance.intoto.json") + "helm.tgz"
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("there is no release of this commit in dist/release: deploy/release-test.sh makes it")
	}
	t.Skip("there is no release of this commit in dist/release: make release")
	return ""
}

// equalCharts compares what Helm sees of two charts: the metadata, and every other file as it is.
func equalCharts(t *testing.T, got, want *chart.Chart) {
	t.Helper()
	if !reflect.DeepEqual(got.Metadata, want.Metadata) {
		t.Errorf("the chart is %+v, want %+v", got.Metadata, want.Metadata)
	}
	files := map[string][]byte{}
	for _, file := range want.Raw {
		files[file.Name] = file.Data
	}
	for _, file := range got.Raw {
		content, found := files[file.Name]
		if !found || file.Name != chartutil.ChartfileName && !bytes.Equal(content, file.Data) {
			t.Errorf("%s is not as helm package makes it (there: %v)", file.Name, found)
		}
		delete(files, file.Name)
	}
	for name := range files {
		t.Errorf("the released chart has no %s", name)
	}
}
