package observe

import (
	"log/slog"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
)

const rulesFile = "../prometheus/chatidentity.rules.yaml"

// stale marks the end of a series.
var stale = math.Float64frombits(value.StaleNaN)

// loadRules returns the rules, which Prometheus' own reader takes.
func loadRules(t *testing.T) []rulefmt.Rule {
	t.Helper()
	text, err := os.ReadFile(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	groups, problems := rulefmt.Parse(text, false, model.LegacyValidation, newParser(), slog.New(slog.DiscardHandler))
	for _, problem := range problems {
		t.Error(problem)
	}
	if t.Failed() {
		t.FailNow()
	}
	var rules []rulefmt.Rule
	for _, group := range groups.Groups {
		rules = append(rules, group.Rules...)
	}
	return rules
}

// deploy/kubernetes/monitoring has the same rules in the form of the Prometheus Operator.
func TestPrometheusRule(t *testing.T) { //nolint:paralleltest // it may write what others read
	text, err := os.ReadFile(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	_, groups, found := strings.Cut(string(text), "groups:\n")
	if !found {
		t.Fatal("no groups")
	}
	indented := strings.ReplaceAll(strings.TrimSuffix(groups, "\n"), "\n", "\n  ")
	indented = strings.ReplaceAll(indented, "\n  \n", "\n\n")
	made(t, "../kubernetes/monitoring/prometheus-rule.yaml", []byte(ruleHead+"  "+indented+"\n"))
}

const ruleHead = `# Made from deploy/prometheus/chatidentity.rules.yaml by "make observe UPDATE=-update".
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: chatidentity
spec:
  groups:
`

// evaluator evaluates rules one after the other, as Prometheus does.
type evaluator struct {
	store *store
	rules []rulefmt.Rule
	state []map[string]*pending // of each rule, by labels
}

// pending is what a rule gave at its last evaluation.
type pending struct {
	labels labels.Labels
	since  time.Time
	last   time.Time
}

func newEvaluator(t *testing.T, s *store) *evaluator {
	t.Helper()
	e := &evaluator{store: s, rules: loadRules(t)}
	for range e.rules {
		e.state = append(e.state, map[string]*pending{})
	}
	return e
}

// evaluate evaluates every rule once.
func (e *evaluator) evaluate(t *testing.T, now time.Time) {
	t.Helper()
	for i, rule := range e.rules {
		for _, sample := range e.store.at(t, rule.Expr, now) {
			metric := named(sample, rule)
			key := metric.String()
			if e.state[i][key] == nil {
				e.state[i][key] = &pending{labels: metric, since: now}
			}
			e.state[i][key].last = now
			if rule.Record != "" {
				e.store.add(metric, now, sample.F)
			}
		}
		for key, was := range e.state[i] {
			if was.last.Equal(now) {
				continue
			}
			delete(e.state[i], key)
			if rule.Record != "" {
				e.store.add(was.labels, now, stale)
			}
		}
	}
}

// firing returns the labels of the alerts with that name which fire.
func (e *evaluator) firing(name string, now time.Time) []string {
	firing := []string{}
	for i, rule := range e.rules {
		if rule.Alert != name {
			continue
		}
		for _, one := range e.state[i] {
			if now.Sub(one.since) >= time.Duration(rule.For) {
				firing = append(firing, one.labels.String())
			}
		}
	}
	slices.Sort(firing)
	return firing
}

// named returns the labels of what a rule makes of a sample.
func named(sample promql.Sample, rule rulefmt.Rule) labels.Labels {
	builder := labels.NewBuilder(sample.Metric).Del(model.MetricNameLabel)
	for _, name := range slices.Sorted(maps.Keys(rule.Labels)) {
		builder.Set(name, rule.Labels[name])
	}
	if rule.Record != "" {
		return builder.Set(model.MetricNameLabel, rule.Record).Labels()
	}
	return builder.Set(model.AlertNameLabel, rule.Alert).Labels()
}
