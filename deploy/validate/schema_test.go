package validate

import (
	"slices"
	"strings"
	"sync"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"sigs.k8s.io/kubectl-validate/pkg/openapiclient"
	"sigs.k8s.io/kubectl-validate/pkg/validator"
	"sigs.k8s.io/yaml"
)

// kubernetesVersion is the newest whose schemas kubectl-validate brings along.
const kubernetesVersion = "1.30"

// schema validates as the API server would.
type schema struct {
	mu        sync.Mutex // a Validator keeps what it has looked up in a plain map
	validator *validator.Validator
}

func newSchema(t *testing.T) *schema {
	t.Helper()
	schemas, err := validator.New(openapiclient.NewOverlay(
		openapiclient.HardcodedPatchLoader(kubernetesVersion), openapiclient.NewHardcodedBuiltins(kubernetesVersion)))
	if err != nil {
		t.Fatal(err)
	}
	return &schema{validator: schemas}
}

// check refuses what the API server would. The schemas of PodMonitor and PrometheusRule are not
// among Kubernetes' own: they are held against the types of their operator.
func (s *schema) check(d document) error {
	switch d.Kind {
	case "PodMonitor":
		return yaml.UnmarshalStrict(d.yaml, &monitoringv1.PodMonitor{})
	case "PrometheusRule":
		return yaml.UnmarshalStrict(d.yaml, &monitoringv1.PrometheusRule{})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, parsed, err := s.validator.Parse(d.yaml)
	if err != nil {
		return err
	}
	return s.validator.Validate(parsed)
}

func TestEveryObjectPassesTheServersSchema(t *testing.T) {
	t.Parallel()
	server := newSchema(t)
	eachOverlay(t, func(t *testing.T, overlay string, documents []document) {
		var kinds []string
		for _, d := range documents {
			kinds = append(kinds, d.Kind)
			if err := server.check(d); err != nil {
				t.Errorf("%v: %v", d, err)
			}
		}
		if slices.Sort(kinds); !slices.Equal(kinds, overlays[overlay]) {
			t.Errorf("renders %v, want %v", kinds, overlays[overlay])
		}
	})
}

// The ConfigMap of the dashboard is one that Grafana's sidecar takes.
func TestTheDashboardIsAConfigMap(t *testing.T) {
	t.Parallel()
	server := newSchema(t)
	documents := renderDirectory(t, "../grafana")
	if len(documents) != 1 || documents[0].Kind != "ConfigMap" {
		t.Fatalf("renders %v", documents)
	}
	if err := server.check(documents[0]); err != nil {
		t.Error(err)
	}
	if !strings.Contains(string(documents[0].yaml), `grafana_dashboard: "1"`) {
		t.Error("it has no label for Grafana's sidecar")
	}
}

// monitoring is applied by itself: with others, kubectl would apply them and fail.
const monitoring = manifests + "/monitoring"

func TestMonitoringIsApart(t *testing.T) {
	t.Parallel()
	server := newSchema(t)
	var kinds []string
	for _, d := range renderDirectory(t, monitoring) {
		kinds = append(kinds, d.Kind)
		if err := server.check(d); err != nil {
			t.Errorf("%v: %v", d, err)
		}
	}
	if slices.Sort(kinds); !slices.Equal(kinds, []string{"PodMonitor", "PrometheusRule"}) {
		t.Errorf("renders %v", kinds)
	}
}

func TestTheSchemaRefusesWhatIsWrong(t *testing.T) {
	t.Parallel()
	server := newSchema(t)
	for name, test := range map[string]struct{ kind, old, with string }{
		"a misspelt field":   {"Deployment", "livenessProbe:", "livenesProbe:"},
		"a port of text":     {"Deployment", "containerPort: 9452", "containerPort: many"},
		"a missing selector": {"NetworkPolicy", "podSelector:", "podSelectors:"},
		"a monitor's field":  {"PodMonitor", "podMetricsEndpoints:", "endpoints:"},
		"a rule's field":     {"PrometheusRule", "alert:", "alarm:"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, d := range append(render(t, "monitored"), renderDirectory(t, monitoring)...) {
				if d.Kind != test.kind {
					continue
				}
				if !strings.Contains(string(d.yaml), test.old) {
					t.Fatalf("%v has no %q", d, test.old)
				}
				d.yaml = []byte(strings.Replace(string(d.yaml), test.old, test.with, 1))
				if err := server.check(d); err == nil {
					t.Errorf("%v passes with %q", d, test.with)
				}
				return
			}
			t.Fatalf("no %s", test.kind)
		})
	}
}
