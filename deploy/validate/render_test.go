package validate

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

const manifests = "../kubernetes"

// overlays are all that there are, each with the kinds that it renders to. One more in the
// directory fails the test until it stands here. None holds a kind that a cluster has from an
// operator, and only monitored a policy for the app's own traffic.
var overlays = map[string][]string{
	"audit-key":      {"CronJob", "Deployment", "Job"},
	"audit-volume":   {"CronJob", "CronJob", "Deployment", "Job", "PersistentVolumeClaim"},
	"monitored":      {"CronJob", "Deployment", "Job", "NetworkPolicy"},
	"plain":          {"CronJob", "Deployment", "Job"},
	"ready-gated":    {"CronJob", "Deployment", "Job"},
	"redis":          {"CronJob", "Deployment", "Job"},
	"redis-ca":       {"CronJob", "Deployment", "Job"},
	"secret-refresh": {"CronJob", "CronJob", "Deployment", "Job", "Role", "RoleBinding", "ServiceAccount"},
	"unix-socket":    {"CronJob", "Deployment", "Job"},
}

func TestEveryOverlayIsListed(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir(filepath.Join(manifests, "overlays"))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, entry := range entries {
		found = append(found, entry.Name())
	}
	if listed := slices.Sorted(maps.Keys(overlays)); !slices.Equal(found, listed) {
		t.Errorf("there are overlays %v, the tests know %v", found, listed)
	}
}

// eachOverlay runs a test on what every overlay renders to.
func eachOverlay(t *testing.T, test func(t *testing.T, overlay string, documents []document)) {
	t.Helper()
	for overlay := range overlays {
		t.Run(overlay, func(t *testing.T) {
			t.Parallel()
			test(t, overlay, render(t, overlay))
		})
	}
}

// document is one rendered object.
type document struct {
	metav1.PartialObjectMetadata
	yaml []byte
}

func (d document) String() string { return d.APIVersion + " " + d.Kind + " " + d.Name }

func newDocument(t *testing.T, text []byte) document {
	t.Helper()
	one := document{yaml: text}
	if err := yaml.Unmarshal(text, &one.PartialObjectMetadata); err != nil {
		t.Fatal(err)
	}
	return one
}

func render(t *testing.T, overlay string) []document {
	t.Helper()
	return renderDirectory(t, filepath.Join(manifests, "overlays", overlay))
}

func renderDirectory(t *testing.T, directory string) []document {
	t.Helper()
	rendered, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), directory)
	if err != nil {
		t.Fatal(err)
	}
	var documents []document
	for _, resource := range rendered.Resources() {
		text, err := resource.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		documents = append(documents, newDocument(t, text))
	}
	return documents
}

// podOf returns the pod template of a workload, or nil for another kind.
func podOf(t *testing.T, d document) *corev1.PodTemplateSpec {
	t.Helper()
	decode := func(into any) {
		if err := yaml.UnmarshalStrict(d.yaml, into); err != nil {
			t.Fatalf("%v: %v", d, err)
		}
	}
	switch d.Kind {
	case "Deployment":
		var workload appsv1.Deployment
		decode(&workload)
		return &workload.Spec.Template
	case "Job":
		var workload batchv1.Job
		decode(&workload)
		return &workload.Spec.Template
	case "CronJob":
		var workload batchv1.CronJob
		decode(&workload)
		return &workload.Spec.JobTemplate.Spec.Template
	case "StatefulSet":
		var workload appsv1.StatefulSet
		decode(&workload)
		return &workload.Spec.Template
	case "DaemonSet":
		var workload appsv1.DaemonSet
		decode(&workload)
		return &workload.Spec.Template
	case "Pod":
		var pod corev1.Pod
		decode(&pod)
		return &corev1.PodTemplateSpec{ObjectMeta: pod.ObjectMeta, Spec: pod.Spec}
	default:
		return nil
	}
}

// sidecarsOf returns the sidecar of each workload that has one.
func sidecarsOf(t *testing.T, documents []document) []corev1.Container {
	t.Helper()
	var sidecars []corev1.Container
	for _, d := range documents {
		if pod := podOf(t, d); pod != nil {
			for _, container := range pod.Spec.InitContainers {
				if container.Name == "chatidentity" {
					sidecars = append(sidecars, container)
				}
			}
		}
	}
	return sidecars
}
