package observe

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"go.yaml.in/yaml/v3"
)

// unitTests is what this file reads of the format of `promtool test rules`. A field that is not
// here is an error, so nothing is left out unseen.
type unitTests struct {
	RuleFiles          []string       `yaml:"rule_files"`
	EvaluationInterval model.Duration `yaml:"evaluation_interval"`
	Tests              []unitTest     `yaml:"tests"`
}

type unitTest struct {
	Name        string         `yaml:"name"`
	Interval    model.Duration `yaml:"interval"`
	InputSeries []struct {
		Series string `yaml:"series"`
		Values string `yaml:"values"`
	} `yaml:"input_series"`
	Alerts []alertTest `yaml:"alert_rule_test"`
}

type alertTest struct {
	At       model.Duration `yaml:"eval_time"`
	Name     string         `yaml:"alertname"`
	Expected []struct {
		Labels      map[string]string `yaml:"exp_labels"`
		Annotations map[string]string `yaml:"exp_annotations"`
	} `yaml:"exp_alerts"`
}

func loadUnitTests(t *testing.T) unitTests {
	t.Helper()
	text, err := os.ReadFile("../prometheus/chatidentity.test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	var tests unitTests
	if err := decoder.Decode(&tests); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(rulesFile, "/"+strings.Join(tests.RuleFiles, " ")) {
		t.Fatalf("the tests are of %v", tests.RuleFiles)
	}
	return tests
}

// The unit tests of the rules, by Prometheus' parser and engine. `make proof` runs them with
// promtool too, whose build takes minutes.
func TestRules(t *testing.T) {
	t.Parallel()
	tests := loadUnitTests(t)
	for _, test := range tests.Tests {
		t.Run(test.Name, func(t *testing.T) {
			t.Parallel()
			test.run(t, time.Duration(tests.EvaluationInterval))
		})
	}
}

func (u unitTest) run(t *testing.T, interval time.Duration) {
	t.Helper()
	begin, last := time.Unix(0, 0), time.Duration(0)
	s := newStore()
	for _, input := range u.InputSeries {
		metric, values, err := newParser().ParseSeriesDesc(input.Series + " " + input.Values)
		if err != nil {
			t.Fatal(err)
		}
		for i, sample := range values {
			if !sample.Omitted {
				s.add(metric, begin.Add(time.Duration(i)*time.Duration(u.Interval)), sample.Value)
			}
		}
	}
	expected := map[time.Duration][]alertTest{}
	for _, alert := range u.Alerts {
		at := time.Duration(alert.At)
		expected[at] = append(expected[at], alert)
		last = max(last, at)
	}
	e := newEvaluator(t, s)
	for at := time.Duration(0); at <= last; at += interval {
		e.evaluate(t, begin.Add(at))
		for _, alert := range expected[at] {
			want := alert.labels()
			if firing := e.firing(alert.Name, begin.Add(at)); !slices.Equal(firing, want) {
				t.Errorf("%s after %v: %v fire, want %v", alert.Name, at, firing, want)
			}
		}
		delete(expected, at)
	}
	for at := range expected {
		t.Errorf("%v is between two evaluations", at)
	}
}

func (a alertTest) labels() []string {
	all := []string{}
	for _, alert := range a.Expected {
		with := maps.Clone(alert.Labels)
		with[model.AlertNameLabel] = a.Name
		all = append(all, labels.FromMap(with).String())
	}
	slices.Sort(all)
	return all
}

// Each alert has a unit test in which it does not fire, fires and clears, in this order, and which
// says the annotations that it has. They are plain text: the labels say which pod or organization.
func TestEachAlertFiresAndClears(t *testing.T) {
	t.Parallel()
	shown := map[string]bool{}
	for _, test := range loadUnitTests(t).Tests {
		course := map[string]string{}
		for _, alert := range test.Alerts {
			course[alert.Name] += fmt.Sprintf("%t ", len(alert.Expected) > 0)
		}
		for name, states := range course {
			shown[name] = shown[name] || states == "false true false "
		}
	}
	alerts := 0
	for _, rule := range loadRules(t) {
		if rule.Alert == "" {
			continue
		}
		alerts++
		if !shown[rule.Alert] {
			t.Errorf("no test shows that %s fires and clears", rule.Alert)
		}
		if rule.KeepFiringFor != 0 {
			t.Errorf("%s keeps firing, which these tests do not know", rule.Alert)
		}
	}
	if alerts < 15 {
		t.Errorf("there are %d alerts", alerts)
	}
}

func TestAnnotations(t *testing.T) {
	t.Parallel()
	annotations := map[string]map[string]string{}
	for _, rule := range loadRules(t) {
		annotations[rule.Alert] = rule.Annotations
		for name, text := range rule.Annotations {
			if strings.Contains(text, "{{") {
				t.Errorf("%s of %s is a template", name, rule.Alert)
			}
		}
	}
	for _, test := range loadUnitTests(t).Tests {
		for _, alert := range test.Alerts {
			for _, expected := range alert.Expected {
				if !reflect.DeepEqual(expected.Annotations, annotations[alert.Name]) {
					t.Errorf("%s has %v, want %v", alert.Name, annotations[alert.Name], expected.Annotations)
				}
			}
		}
	}
}

// Each alert links to the section of docs/operations.md that has its name.
func TestRunbooks(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range loadRules(t) {
		if rule.Alert == "" {
			continue
		}
		if !strings.HasSuffix(rule.Annotations["runbook_url"], "/docs/operations.md#"+strings.ToLower(rule.Alert)) {
			t.Errorf("%s links to %s", rule.Alert, rule.Annotations["runbook_url"])
		}
		_, section, found := strings.Cut(string(page), "\n### "+rule.Alert+"\n")
		if !found {
			t.Errorf("docs/operations.md has no section %s", rule.Alert)
			continue
		}
		section, _, _ = strings.Cut(section, "\n#")
		section = strings.Join(strings.Fields(section), " ")
		for _, part := range []string{"**Means:**", "**Look:**", "**Do:**", "**It worked when**"} {
			if !strings.Contains(section, part) {
				t.Errorf("the section %s does not say %s", rule.Alert, part)
			}
		}
	}
}
