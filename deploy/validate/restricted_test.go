package validate

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// checkRestricted returns what of the restricted Pod Security Standard a pod
// breaks, as the admission of the API server decides.
func checkRestricted(t *testing.T, pod *corev1.PodTemplateSpec) []string {
	t.Helper()
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks())
	if err != nil {
		t.Fatal(err)
	}
	level := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	var broken []string
	for _, result := range evaluator.EvaluatePod(level, &pod.ObjectMeta, &pod.Spec) {
		if !result.Allowed {
			broken = append(broken, result.ForbiddenReason+": "+result.ForbiddenDetail)
		}
	}
	return broken
}

func TestEveryPodIsRestricted(t *testing.T) {
	t.Parallel()
	eachOverlay(t, func(t *testing.T, _ string, documents []document) {
		pods := 0
		for _, d := range documents {
			pod := podOf(t, d)
			if pod == nil {
				continue
			}
			pods++
			for _, broken := range checkRestricted(t, pod) {
				t.Errorf("%v: %s", d, broken)
			}
		}
		if pods < 3 {
			t.Errorf("looked at %d pods", pods)
		}
	})
}

func TestTheStandardRefusesALooserSidecar(t *testing.T) {
	t.Parallel()
	yes, no, root := true, false, int64(0)
	for name, loosen := range map[string]func(*corev1.PodSpec, *corev1.SecurityContext){
		"root":                 func(_ *corev1.PodSpec, s *corev1.SecurityContext) { s.RunAsUser = &root },
		"root by default":      func(_ *corev1.PodSpec, s *corev1.SecurityContext) { s.RunAsNonRoot = &no },
		"privileged":           func(_ *corev1.PodSpec, s *corev1.SecurityContext) { s.Privileged = &yes },
		"privilege escalation": func(_ *corev1.PodSpec, s *corev1.SecurityContext) { s.AllowPrivilegeEscalation = nil },
		"capabilities":         func(_ *corev1.PodSpec, s *corev1.SecurityContext) { s.Capabilities = nil },
		"host network":         func(p *corev1.PodSpec, _ *corev1.SecurityContext) { p.HostNetwork = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, d := range render(t, "plain") {
				pod := podOf(t, d)
				if pod == nil {
					continue
				}
				loosen(&pod.Spec, pod.Spec.InitContainers[0].SecurityContext)
				if checkRestricted(t, pod) == nil {
					t.Errorf("%v passes", d)
				}
			}
		})
	}
}
