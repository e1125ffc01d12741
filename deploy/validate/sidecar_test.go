package validate

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/yaml"
)

func TestTheSnippetIsWhatTheComponentAdds(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(manifests, "sidecar.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var snippet corev1.PodSpec
	if err := yaml.UnmarshalStrict(text, &snippet); err != nil {
		t.Fatal(err)
	}
	pods := 0
	for _, d := range render(t, "plain") {
		pod := podOf(t, d)
		if pod == nil {
			continue
		}
		pods++
		added := corev1.PodSpec{InitContainers: pod.Spec.InitContainers, Volumes: pod.Spec.Volumes}
		added.InitContainers[0].Image = snippet.InitContainers[0].Image // the overlay names a registry
		if !apiequality.Semantic.DeepEqual(added, snippet) {
			t.Errorf("%v: the component adds %+v, the snippet says %+v", d, added, snippet)
		}
	}
	if pods != 3 {
		t.Errorf("looked at %d pods, want a Deployment's, a Job's and a CronJob's", pods)
	}
}

// The page's Job looks at what the sidecar without options would: the same arguments, variables and
// volumes, in a pod that the restricted standard admits.
func TestTheDoctorOfThePage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```yaml\n([^`]*kind: Job\n[^`]*)```").FindSubmatch(page)
	if block == nil {
		t.Fatal("the page shows none")
	}
	job := documentsOf(t, block[1])[0]
	if err := newSchema(t).check(job); err != nil {
		t.Error(err)
	}
	for _, broken := range checkRestricted(t, podOf(t, job)) {
		t.Error(broken)
	}

	plain := render(t, "plain")
	sidecar, volumes := sidecarsOf(t, plain)[0], podOf(t, withSidecar(t, plain)).Spec.Volumes
	doctor := podOf(t, job).Spec.Containers[0]
	args := append([]string{"doctor"}, sidecar.Args[1:]...)
	ofProgram := func(v corev1.EnvVar) bool { return !strings.HasPrefix(v.Name, "CHATIDENTITY_") }
	variables := slices.DeleteFunc(slices.Clone(sidecar.Env), ofProgram)
	if !slices.Equal(doctor.Args, args) || !apiequality.Semantic.DeepEqual(doctor.Env, variables) ||
		!apiequality.Semantic.DeepEqual(doctor.VolumeMounts, sidecar.VolumeMounts) ||
		!apiequality.Semantic.DeepEqual(doctor.SecurityContext, sidecar.SecurityContext) {
		t.Errorf("it has %+v, the sidecar %+v", doctor, sidecar)
	}
	for i, volume := range podOf(t, job).Spec.Volumes {
		if volume.Name != volumes[i].Name || !apiequality.Semantic.DeepEqual(volume.Secret, volumes[i].Secret) {
			t.Errorf("its volume is %+v, the sidecar's %+v", volume, volumes[i])
		}
	}
}

func TestChatDoesNotDecideWhetherTheAppRuns(t *testing.T) {
	t.Parallel()
	eachOverlay(t, func(t *testing.T, overlay string, documents []document) {
		sidecars := sidecarsOf(t, documents)
		if len(sidecars) != 3 {
			t.Fatalf("%d sidecars, want the Deployment's, the Job's and the CronJob's", len(sidecars))
		}
		for _, sidecar := range sidecars {
			if sidecar.RestartPolicy == nil || *sidecar.RestartPolicy != corev1.ContainerRestartPolicyAlways {
				t.Error("not a native sidecar")
			}
			for name, probe := range map[string]*corev1.Probe{"startup": sidecar.StartupProbe, "liveness": sidecar.LivenessProbe} {
				if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != "/livez" {
					t.Errorf("the %s probe is not /livez", name)
				}
			}
			if gated := sidecar.ReadinessProbe != nil; gated != (overlay == "ready-gated") {
				t.Errorf("has a readiness probe: %t", gated)
			}
		}
	})
}

func TestTheSidecarIsFirst(t *testing.T) {
	t.Parallel()
	eachOverlay(t, func(t *testing.T, _ string, documents []document) {
		for _, d := range documents {
			pod := podOf(t, d)
			if pod == nil || d.Labels["chatidentity"] == "skip" {
				continue
			}
			if first := pod.Spec.InitContainers[0].Name; first != "chatidentity" {
				t.Errorf("%v: %s starts before the sidecar", d, first)
			}
		}
	})
}

// Without OnRootMismatch the kubelet changes the group of every file of the pod's
// volumes at each start, the app's own volumes included.
func TestFSGroupDoesNotWalkTheVolumes(t *testing.T) {
	t.Parallel()
	eachOverlay(t, func(t *testing.T, overlay string, documents []document) {
		for _, d := range documents {
			pod := podOf(t, d)
			if pod == nil || d.Labels["chatidentity"] == "skip" {
				continue
			}
			context := pod.Spec.SecurityContext
			if grouped := context.FSGroup != nil; grouped != (overlay == "audit-volume") {
				t.Errorf("%v has an fsGroup: %t", d, grouped)
			}
			if policy := context.FSGroupChangePolicy; context.FSGroup != nil && (policy == nil || *policy != corev1.FSGroupChangeOnRootMismatch) {
				t.Errorf("%v has an fsGroup without OnRootMismatch", d)
			}
		}
	})
}

// The kubelet evicts a pod whose volume exceeds its limit: that is four times what the audit can ever
// hold there, which is one file that is open and the rotated ones, each with a batch more.
func TestTheAuditCannotFillItsVolume(t *testing.T) {
	t.Parallel()
	const batch = 6 << 20 // 4 MiB of records may wait, and get their macs when they are written
	eachOverlay(t, func(t *testing.T, overlay string, documents []document) {
		sidecar := sidecarsOf(t, documents)[0]
		values := map[string]string{}
		for _, variable := range sidecar.Env {
			values[variable.Name] = variable.Value
		}
		for _, volume := range podOf(t, withSidecar(t, documents)).Spec.Volumes {
			if volume.Name != "chatidentity-audit" {
				continue
			}
			if overlay == "audit-volume" {
				if volume.EmptyDir != nil || volume.PersistentVolumeClaim == nil || values["CHATIDENTITY_AUDIT_MAX_FILES"] != "" {
					t.Errorf("the claim is not all: %+v, %v", volume, values)
				}
				return
			}
			size := resource.MustParse(strings.TrimSuffix(values["CHATIDENTITY_AUDIT_MAX_SIZE"], "B"))
			files := resource.MustParse(values["CHATIDENTITY_AUDIT_MAX_FILES"])
			most := (files.Value() + 1) * (size.Value() + batch)
			if limit := volume.EmptyDir.SizeLimit.Value(); limit < 4*most || values["CHATIDENTITY_AUDIT_COPY"] != "-" {
				t.Errorf("at most %d bytes in a volume of %d; %v", most, limit, values)
			}
			return
		}
		t.Error("no volume for the audit")
	})
}

// withSidecar is the first document whose pods have one.
func withSidecar(t *testing.T, documents []document) document {
	t.Helper()
	for _, d := range documents {
		if len(sidecarsOf(t, []document{d})) == 1 {
			return d
		}
	}
	t.Fatal("no sidecar")
	return document{}
}

// What hangs takes no SIGTERM and answers no probe. It is found hanging at most a period after it
// began, by as many probes as the kubelet wants to fail, and killed after the grace.
func TestASidecarThatHangsIsKilledWithin25Seconds(t *testing.T) {
	t.Parallel()
	eachOverlay(t, func(t *testing.T, _ string, documents []document) {
		for _, sidecar := range sidecarsOf(t, documents) {
			probe := sidecar.LivenessProbe
			if probe.TerminationGracePeriodSeconds == nil {
				t.Fatal("a hanging sidecar gets the pod's grace period")
			}
			failures := probe.FailureThreshold
			if failures == 0 {
				failures = 3 // the API server's default
			}
			most := probe.PeriodSeconds + failures*max(probe.PeriodSeconds, probe.TimeoutSeconds) + int32(*probe.TerminationGracePeriodSeconds)
			if most > 25 || probe.TimeoutSeconds < 5 {
				t.Errorf("it is killed after %d s; one that is busy has %d s to answer", most, probe.TimeoutSeconds)
			}
		}
	})
}

// Why a container of ours failed is in the pod's status.
func TestTheStatusHasTheLastLines(t *testing.T) {
	t.Parallel()
	eachOverlay(t, func(t *testing.T, _ string, documents []document) {
		ours := 0
		for _, container := range containersOf(t, documents) {
			if container.Name == "app" {
				continue
			}
			ours++
			if container.TerminationMessagePolicy != corev1.TerminationMessageFallbackToLogsOnError {
				t.Errorf("%s: %q", container.Name, container.TerminationMessagePolicy)
			}
		}
		if ours < 3 {
			t.Errorf("looked at %d containers", ours)
		}
	})
}
