package validate

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	corev1 "k8s.io/api/core/v1"
)

const charts = "../helm"

// exampleChart returns a directory with the example chart and, as `helm dependency build` puts it
// there, the library chart.
func exampleChart(t *testing.T) string {
	t.Helper()
	directory := t.TempDir()
	if err := os.CopyFS(directory, os.DirFS(filepath.Join(charts, "example"))); err != nil {
		t.Fatal(err)
	}
	library := filepath.Join(directory, "charts", "chatidentity")
	if err := os.CopyFS(library, os.DirFS(filepath.Join(charts, "chatidentity"))); err != nil {
		t.Fatal(err)
	}
	return directory
}

// helmTemplate is `helm template shop`.
func helmTemplate(t *testing.T, directory string, sidecar map[string]any) (document, error) {
	t.Helper()
	return renderChart(t, loadChart(t, directory), sidecar)
}

func loadChart(t *testing.T, path string) *chart.Chart {
	t.Helper()
	loaded, err := loader.Load(path)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return loaded
}

func renderChart(t *testing.T, app *chart.Chart, sidecar map[string]any) (document, error) {
	t.Helper()
	values := map[string]any{"chatidentity": maps.Clone(sidecar)} // helm writes into it
	if err := chartutil.ProcessDependenciesWithMerge(app, values); err != nil {
		t.Fatal(err)
	}
	all, err := chartutil.ToRenderValues(app, values, chartutil.ReleaseOptions{Name: "shop"}, chartutil.DefaultCapabilities)
	if err != nil {
		return document{}, err
	}
	rendered, err := engine.Render(app, all)
	if err != nil {
		return document{}, err
	}
	for name, text := range rendered {
		if strings.HasSuffix(name, "/deployment.yaml") {
			return newDocument(t, []byte(text)), nil
		}
	}
	return document{}, fmt.Errorf("nothing in %v", rendered)
}

func TestHelmLint(t *testing.T) {
	t.Parallel()
	directory := exampleChart(t)
	for _, chart := range []string{directory, filepath.Join(directory, "charts", "chatidentity")} {
		result := lint.AllWithKubeVersion(chart, map[string]any{"image": "lint"}, "default",
			&chartutil.KubeVersion{Version: "v1.30.0", Major: "1", Minor: "30"})
		for _, message := range result.Messages {
			if message.Severity > support.InfoSev {
				t.Errorf("%s: %v", filepath.Base(chart), message)
			}
		}
	}
}

func TestHelmRefusesWrongValues(t *testing.T) {
	t.Parallel()
	directory := exampleChart(t)
	for want, values := range map[string]map[string]any{
		"image":              {"image": ""},
		"unixsocket":         {"unixsocket": true},
		"allowUID":           {"unixSocket": true, "allowUID": "shop"},
		"limitRedis":         {"limitRedis": "redis.example.com"},
		"secretName":         {"secretName": "My Secret"},
		"readyGated":         {"readyGated": "yes"},
		"auditVolume":        {"auditVolume": true},
		"less than or equal": {"allowUID": 1 << 40},
		"the chart sets CHATIDENTITY_AUDIT_MAX_FILES itself": {"env": map[string]any{"CHATIDENTITY_AUDIT_MAX_FILES": "9"}},
		"the chart sets CHATIDENTITY_SECRET_FILE itself":     {"env": map[string]any{"CHATIDENTITY_SECRET_FILE": "/secret"}},
		"the chart sets CHATIDENTITY_LISTEN itself":          {"unixSocket": true, "env": map[string]any{"CHATIDENTITY_LISTEN": "127.0.0.1:1"}},
		"KUSTOMER_SECRET_KEY":                                {"env": map[string]any{"KUSTOMER_SECRET_KEY": "secret"}},
		"Must not validate":                                  {"env": map[string]any{"CHATIDENTITY_LIMIT_REDIS": "rediss://redis"}},
		"OTEL_EXPORTER_OTLP_HEADERS":                         {"env": map[string]any{"OTEL_EXPORTER_OTLP_HEADERS": "Authorization=key"}},
		"OTEL_EXPORTER_OTLP_TRACES_HEADERS":                  {"env": map[string]any{"OTEL_EXPORTER_OTLP_TRACES_HEADERS": "Authorization=key"}},
		"env.HTTPS_PROXY":                                    {"env": map[string]any{"HTTPS_PROXY": "http://user:password@proxy:3128"}},
		"env.HTTP_PROXY":                                     {"env": map[string]any{"HTTP_PROXY": "user:password@proxy:3128"}},
		"GOMEMLIMIT":                                         {"env": map[string]any{"GOMEMLIMIT": "32MiB"}},
		"CHATIDENTITY_LIMIT_CALLER":                          {"env": map[string]any{"CHATIDENTITY_LIMIT_CALLER": 5}},
		"CHATIDENTITY_LOG_LEVEL":                             {"env": map[string]any{"CHATIDENTITY_LOG_LEVEL": ""}},
		"CHATIDENTITY_ORGANIZATION":                          {"env": map[string]any{"CHATIDENTITY_ORGANIZATION": "a\nb"}},
	} {
		if _, err := helmTemplate(t, directory, values); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: error %v, want %q", values, err, want)
		}
	}
}

// action is what a template runs, which has variables of its own.
var action = regexp.MustCompile("{{.*?}}")

// The library chart's version is the example's dependency.
func TestTheExampleNamesTheLibrary(t *testing.T) {
	t.Parallel()
	library, app := loadChart(t, filepath.Join(charts, "chatidentity")), loadChart(t, filepath.Join(charts, "example"))
	wanted := app.Metadata.Dependencies[0]
	if wanted.Name != library.Name() || wanted.Version != library.Metadata.Version {
		t.Errorf("depends on %+v, the library is %+v", wanted, library.Metadata)
	}
	for _, raw := range library.Raw {
		if bytes.Contains(action.ReplaceAll(raw.Data, nil), []byte("$")) && strings.HasSuffix(raw.Name, ".tpl") {
			t.Errorf("%s has a value that nobody filled in", raw.Name)
		}
	}
}

// The lines of docs/kubernetes.md are the example's, which the other tests render.
func TestTheHelmLinesOfThePage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)TestTheHelmLinesOfThePage -->\n```yaml\n(.*?)```").FindAllSubmatch(page, -1)
	files := []string{"Chart.yaml", "templates/deployment.yaml"}
	if len(blocks) != len(files) {
		t.Fatalf("the page has %d blocks", len(blocks))
	}
	for i, file := range files {
		example, err := os.ReadFile(filepath.Join(charts, "example", file))
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(blocks[i][1]) {
			if !bytes.Contains(example, append([]byte("\n"), line...)) {
				t.Errorf("the example's %s lacks %q", file, line)
			}
		}
	}
}

// A Cluster and Sentinels are given as to the command, and a password is not taken.
func TestFormsOfRedis(t *testing.T) {
	t.Parallel()
	chart := exampleChart(t)
	for url, taken := range map[string]bool{
		"rediss://redis-1:6379?addr=redis-2:6379&addr=redis-3:6379":       true,
		"redis://sentinel-1:26379?master_name=shop&addr=sentinel-2:26379": true,
		"rediss://redis:6379?password=x":                                  false,
		"rediss://u:p@redis:6379":                                         false,
	} {
		documents, err := helmTemplate(t, chart, map[string]any{"limitRedis": url})
		if (err == nil) != taken {
			t.Errorf("%s: %v", url, err)
		}
		want := corev1.EnvVar{Name: "CHATIDENTITY_LIMIT_REDIS", Value: url}
		if taken && err == nil && !slices.Contains(podOf(t, documents).Spec.InitContainers[0].Env, want) {
			t.Errorf("%s is not among the variables", url)
		}
	}
}
