package validate

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/yaml"
)

// options are those of a sidecar, as each of the three ways takes them: an overlay of kustomize,
// flags of `chatidentity manifest`, and values of the Helm chart.
var options = []struct {
	overlay string
	flags   []string
	values  map[string]any
}{
	{"plain", nil, map[string]any{}},
	{"unix-socket", []string{"--unix-socket"}, map[string]any{"unixSocket": true}},
	{"audit-key", []string{"--audit-key-secret=chatidentity-audit"}, map[string]any{"auditKeySecret": "chatidentity-audit"}},
	{"audit-volume", []string{"--audit-volume=chatidentity-audit"}, map[string]any{"auditVolume": "chatidentity-audit"}},
	{
		"redis",
		[]string{"--limit-redis=rediss://chatidentity@redis.example.com:6379/0"},
		map[string]any{"limitRedis": "rediss://chatidentity@redis.example.com:6379/0"},
	},
	{
		"redis-ca",
		[]string{"--limit-redis=rediss://chatidentity@redis.example.com:6379/0", "--limit-redis-private-ca"},
		map[string]any{"limitRedis": "rediss://chatidentity@redis.example.com:6379/0", "limitRedisPrivateCA": true},
	},
	{"ready-gated", []string{"--ready-gated"}, map[string]any{"readyGated": true}},
}

// TestEveryWayAddsTheSame compares what kustomize, the command and Helm make of the same app.
func TestEveryWayAddsTheSame(t *testing.T) {
	t.Parallel()
	program, chart := compile(t), exampleChart(t)
	for _, option := range options {
		t.Run(option.overlay, func(t *testing.T) {
			t.Parallel()
			helm, err := helmTemplate(t, chart, option.values)
			if err != nil {
				t.Fatal(err)
			}
			if err := newSchema(t).check(helm); err != nil {
				t.Error(err)
			}
			want := normal(t, helm)
			for _, broken := range checkRestricted(t, want) {
				t.Errorf("Helm's: %s", broken)
			}
			compared := 0
			for way, documents := range map[string][]document{
				"kustomize": render(t, option.overlay), "manifest": addManifest(t, program, option.flags, manifests+"/example/deployment.yaml"),
			} {
				for _, d := range documents {
					if d.Kind != "Deployment" {
						continue
					}
					compared++
					if got := normal(t, d); !apiequality.Semantic.DeepEqual(got, want) {
						t.Errorf("%s makes\n%+v\nHelm\n%+v", way, got, want)
					}
				}
			}
			if compared != 2 {
				t.Errorf("compared %d", compared)
			}
		})
	}
}

// What docs/kubernetes.md says of every other flag, for each of the three ways, as it stands there.
func TestTheOtherFlagsOfThePage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "\n### Every other flag\n")
	section, _, ends := strings.Cut(section, "\n### ")
	flags := regexp.MustCompile(`--env CHATIDENTITY_[^ ]+`).FindAllString(section, -1)
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(section, 2)
	if !found || !ends || len(flags) != 2 || len(blocks) != 2 {
		t.Fatalf("the page has %q and %d blocks", flags, len(blocks))
	}
	for i := range flags {
		flags[i] = strings.Replace(flags[i], " ", "=", 1)
	}
	var values struct{ Chatidentity map[string]any }
	if err := yaml.UnmarshalStrict([]byte(blocks[0][1]), &values); err != nil {
		t.Fatal(err)
	}
	helm, err := helmTemplate(t, exampleChart(t), values.Chatidentity)
	if err != nil {
		t.Fatal(err)
	}
	app := manifests + "/example/deployment.yaml"
	raw, err := os.ReadFile(app)
	if err != nil {
		t.Fatal(err)
	}
	patched, err := kustomizeText(t, string(raw), "resources: [app.yaml]\ncomponents: [../kubernetes/components/sidecar]\n"+
		"images: [{name: chatidentity, newName: registry.example.com/chatidentity, newTag: 0.1.0}]\n"+blocks[1][1])
	if err != nil {
		t.Fatal(err)
	}
	want := normal(t, helm)
	if !slices.Contains(want.Spec.InitContainers[0].Env, corev1.EnvVar{Name: "CHATIDENTITY_LIMIT_CUSTOMER", Value: "1/s:20"}) {
		t.Errorf("Helm makes %+v", want.Spec.InitContainers[0].Env)
	}
	for way, documents := range map[string][]document{
		"kustomize": patched, "manifest": addManifest(t, compile(t), flags, app),
	} {
		if got := normal(t, withSidecar(t, documents)); !apiequality.Semantic.DeepEqual(got, want) {
			t.Errorf("%s makes\n%+v\nHelm\n%+v", way, got, want)
		}
	}
}

// A value of env is text, whatever it looks like, with Helm as with the command.
func TestValuesOfEnvAreText(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		"a: b #c", `"quoted" 'both' \ways\`, "0600", "true", "~", "Grüße, 世界 🙂", "a\u00a0\u2028b", "$(POD_NAME)", "$name", "{{ .Values }}", "<a>&b",
	} {
		helm, err := helmTemplate(t, exampleChart(t), map[string]any{"env": map[string]any{"CHATIDENTITY_ORGANIZATION": value}})
		if err != nil {
			t.Fatal(err)
		}
		added := addManifest(t, compile(t), []string{"--env=CHATIDENTITY_ORGANIZATION=" + value}, manifests+"/example/deployment.yaml")
		for way, d := range map[string]document{"Helm": helm, "manifest": withSidecar(t, added)} {
			env := podOf(t, d).Spec.InitContainers[0].Env
			if !slices.Contains(env, corev1.EnvVar{Name: "CHATIDENTITY_ORGANIZATION", Value: value}) {
				t.Errorf("%s: %q becomes %+v", way, value, env[len(env)-1])
			}
		}
	}
}

// Variables that are not of flags are the same with Helm as with the command.
func TestOtherVariablesOfThePod(t *testing.T) {
	t.Parallel()
	given := map[string]any{
		"OTEL_EXPORTER_OTLP_ENDPOINT": "http://otel-collector:4317", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc",
		"HTTPS_PROXY": "http://proxy.example.com:3128", "NO_PROXY": ".example.com",
	}
	var flags []string
	for name, value := range given {
		flags = append(flags, "--env="+name+"="+value.(string))
	}
	helm, err := helmTemplate(t, exampleChart(t), map[string]any{"env": given})
	if err != nil {
		t.Fatal(err)
	}
	added := withSidecar(t, addManifest(t, compile(t), flags, manifests+"/example/deployment.yaml"))
	if got, want := normal(t, added), normal(t, helm); !apiequality.Semantic.DeepEqual(got, want) || len(want.Spec.InitContainers[0].Env) < 5+len(given) {
		t.Errorf("manifest makes\n%+v\nHelm\n%+v", got, want)
	}
}

// normal is a pod template without an order where order means nothing.
func normal(t *testing.T, d document) *corev1.PodTemplateSpec {
	t.Helper()
	pod := podOf(t, d)
	slices.SortFunc(pod.Spec.Volumes, func(a, b corev1.Volume) int { return strings.Compare(a.Name, b.Name) })
	for i := range pod.Spec.InitContainers {
		container := &pod.Spec.InitContainers[i]
		slices.SortFunc(container.Env, func(a, b corev1.EnvVar) int { return strings.Compare(a.Name, b.Name) })
		slices.SortFunc(container.VolumeMounts, func(a, b corev1.VolumeMount) int { return strings.Compare(a.Name, b.Name) })
	}
	return pod
}

// addManifest is `chatidentity manifest`.
func addManifest(t *testing.T, program string, flags []string, file string) []document {
	t.Helper()
	arguments := slices.Concat([]string{"manifest", "--image=registry.example.com/chatidentity:0.1.0"}, flags, []string{file})
	text, err := exec.Command(program, arguments...).Output()
	if err != nil {
		t.Fatalf("%v: %v", arguments, err)
	}
	return documentsOf(t, text)
}

func documentsOf(t *testing.T, text []byte) []document {
	t.Helper()
	var documents []document
	text = bytes.TrimPrefix(text, []byte("\uFEFF")) // it would be a part of the first key
	text = append([]byte("\n"), text...)
	for part := range bytes.SplitSeq(text, []byte("\n---")) {
		if d := newDocument(t, part); d.Kind != "" {
			documents = append(documents, d)
		}
	}
	return documents
}

// TestWorkloadsWithASidecarAreValid holds the results for workloads of many shapes against the API
// server's schemas, read by the YAML library that kubectl uses.
func TestWorkloadsWithASidecarAreValid(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../server/internal/manifest/testdata/golden/*.yaml")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	server := newSchema(t)
	pods := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range itemsOf(t, documentsOf(t, text)) {
			if strings.Contains(d.APIVersion, "volcano") || podOf(t, d) == nil {
				continue
			}
			d.yaml = bytes.Replace(d.yaml, []byte("generateName: trial-"), []byte("name: trial"), 1) // as the server does first
			pods++
			if err := server.check(d); err != nil {
				t.Errorf("%s: %v: %v", filepath.Base(file), d, err)
			}
			if sidecars := sidecarsOf(t, []document{d}); len(sidecars) != 1 && !strings.Contains(string(text), d.Name+": skipped") {
				t.Errorf("%s: %v has %d sidecars", filepath.Base(file), d, len(sidecars))
			}
		}
	}
	if pods < len(files) {
		t.Errorf("looked at %d pods in %d files", pods, len(files))
	}
}

// The components' patches go into a workload that has its lists in braces.
func TestComponentsTakeListsInBraces(t *testing.T) {
	t.Parallel()
	const app = `{apiVersion: apps/v1, kind: Deployment, metadata: {name: shop}, spec: {selector: {matchLabels: {app: shop}},
  template: {metadata: {labels: {app: shop}}, spec: {initContainers: [{name: first, image: a}], containers: [{name: app, image: a}]}}}}
`
	const components = "../kubernetes/components/"
	documents, err := kustomizeText(t, app, "resources: [app.yaml]\ncomponents: ["+components+"sidecar, "+components+"unix-socket, "+
		components+"audit-key, "+components+"redis]\nimages: [{name: chatidentity, newName: chatidentity, newTag: 0.1.0}]\n")
	if err != nil {
		t.Fatal(err)
	}
	if pod := podOf(t, withSidecar(t, documents)); len(pod.Spec.InitContainers) != 2 || pod.Spec.InitContainers[0].Name != "chatidentity" {
		t.Errorf("%+v", pod.Spec.InitContainers)
	}
}
