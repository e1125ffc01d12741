package validate

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

const ownApp = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: own
spec:
  selector: {matchLabels: {app: own}}
  template:
    metadata:
      labels: {app: own}
    spec:
      securityContext: {fsGroup: 2000}
      initContainers:
        - {name: migrate, image: registry.example.com/own:1}
      containers:
        - {name: app, image: registry.example.com/own:1}
      volumes:
        - {name: data, emptyDir: {}}
`

// kustomize builds an app with components, beside a copy of deploy/kubernetes.
func kustomize(t *testing.T, app string, components ...string) ([]document, error) {
	t.Helper()
	text := "resources: [app.yaml]\ncomponents:\n"
	for _, component := range components {
		text += "  - ../kubernetes/components/" + component + "\n"
	}
	return kustomizeText(t, app, text)
}

func kustomizeText(t *testing.T, app, kustomization string) ([]document, error) {
	t.Helper()
	directory := t.TempDir()
	if err := os.CopyFS(filepath.Join(directory, "kubernetes"), os.DirFS(manifests)); err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(directory, "own")
	if err := os.Mkdir(own, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"app.yaml": app, "kustomization.yaml": kustomization, "policy.yaml": "callers: {}\n",
	} {
		if err := os.WriteFile(filepath.Join(own, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rendered, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), own)
	if err != nil {
		return nil, err
	}
	whole, err := rendered.AsYaml()
	return documentsOf(t, whole), err
}

// The page's kustomization, as it stands there, on an app with an init container and volumes.
func TestTheKustomizationOfThePage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```yaml\n([^`]*kind: Kustomization[^`]*)```").FindSubmatch(page)
	if block == nil {
		t.Fatal("the page shows none")
	}
	documents, err := kustomizeText(t, ownApp, string(block[1]))
	if err != nil || len(documents) != 1 {
		t.Fatalf("%v, %v", documents, err)
	}
	spec := podOf(t, documents[0]).Spec
	if len(spec.InitContainers) != 2 || spec.InitContainers[0].Image != "registry.example.com/chatidentity:0.1.0" || len(spec.Volumes) != 3 {
		t.Errorf("it makes %+v", spec)
	}
}

// The page's kustomization of a policy file, as it stands there, and on what manifest prints: the
// file is mounted where the variable says.
func TestTheFileOfThePage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "\n### A flag that names a file\n")
	block := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindStringSubmatch(section)
	if !found || block == nil {
		t.Fatal("the page shows none")
	}
	app := filepath.Join(t.TempDir(), "app.yaml")
	if err := os.WriteFile(app, []byte(ownApp), 0o600); err != nil {
		t.Fatal(err)
	}
	added, err := exec.Command(compile(t), "manifest", "--image=registry.example.com/chatidentity:0.1.0", app).Output()
	if err != nil {
		t.Fatal(err)
	}
	alone := regexp.MustCompile("(?s)components:.*?configMapGenerator").ReplaceAllString(block[1], "configMapGenerator")
	for app, text := range map[string]string{ownApp: block[1], string(added): alone} {
		documents, err := kustomizeText(t, app, text)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range documents {
			if err := newSchema(t).check(d); err != nil {
				t.Error(err)
			}
		}
		spec := podOf(t, withSidecar(t, documents)).Spec
		sidecar := sidecarsOf(t, documents)[0]
		file := corev1.EnvVar{Name: "CHATIDENTITY_POLICY_FILE", Value: "/etc/chatidentity-policy/policy.yaml"}
		mount := corev1.VolumeMount{Name: "chatidentity-policy", MountPath: filepath.Dir(file.Value), ReadOnly: true}
		volume := func(v corev1.Volume) bool { return v.ConfigMap != nil && v.ConfigMap.Name == "chatidentity-policy" }
		if len(documents) != 2 || !slices.Contains(sidecar.Env, file) || !slices.Contains(sidecar.VolumeMounts, mount) ||
			!slices.ContainsFunc(spec.Volumes, volume) || len(spec.InitContainers) != 2 {
			t.Errorf("it makes %+v", spec)
		}
	}
}

// What an app has of its own stays, and the sidecar comes first.
func TestComponentsLoseNothing(t *testing.T) {
	t.Parallel()
	documents, err := kustomize(t, ownApp, "sidecar", "unix-socket", "audit-volume", "redis", "ready-gated")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range documents {
		if d.Kind != "Deployment" {
			continue
		}
		spec := podOf(t, d).Spec
		if len(spec.InitContainers) != 2 || spec.InitContainers[0].Name != "chatidentity" || spec.InitContainers[1].Name != "migrate" {
			t.Errorf("init containers %+v", spec.InitContainers)
		}
		if len(spec.Volumes) != 6 || *spec.SecurityContext.FSGroup != 2000 || len(spec.Containers) != 1 {
			t.Errorf("%d volumes, %+v, %+v", len(spec.Volumes), spec.SecurityContext, spec.Containers)
		}
		return
	}
	t.Error("no Deployment")
}

func TestComponentsRefuseWhatWouldGoWrong(t *testing.T) {
	t.Parallel()
	if _, err := kustomize(t, strings.Replace(ownApp, "name: app,", "name: web,", 1), "sidecar", "unix-socket"); err == nil ||
		!strings.Contains(err.Error(), "containers/0/name") {
		t.Errorf("another container's name: %v", err)
	}
	if _, err := kustomize(t, ownApp, "sidecar", "audit-volume", "fs-group"); err == nil || !strings.Contains(err.Error(), "fsGroup") {
		t.Errorf("an fsGroup of its own: %v", err)
	}
}

func TestComponentsSkip(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"labels", "annotations"} {
		app := strings.Replace(ownApp, "  name: own\n", "  name: own\n  "+where+": {chatidentity: skip}\n", 1)
		documents, err := kustomize(t, app, "sidecar", "unix-socket", "ready-gated")
		if err != nil || len(sidecarsOf(t, documents)) != 0 {
			t.Errorf("%s: %v, %v", where, documents, err)
		}
	}
}
