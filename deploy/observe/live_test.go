package observe

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

const drawingFile = "../../docs/dashboard.svg"

// Prometheus' engine evaluates the dashboard and the rules over a run of the real program: every
// query returns data, every name exists, and the alerts for what happened fire, and no others.
func TestLive(t *testing.T) {
	t.Parallel()
	r := startRun(t)
	panels := r.evaluatePanels(t)
	if *update {
		made(t, drawingFile, draw(panels))
	}
	for _, one := range panels {
		for _, expression := range one.expressions {
			for _, missing := range r.store.unknown(expression) {
				t.Errorf("%s: %s", one.title, missing)
			}
		}
	}
	for _, rule := range r.rules.rules {
		if rule.Alert == "ChatidentitySecretFetchFailing" {
			continue // it looks at kube-state-metrics, not at the program
		}
		for _, missing := range r.store.unknown(rule.Expr) {
			t.Errorf("%s%s: %s", rule.Record, rule.Alert, missing)
		}
	}
	happened := []string{
		"ChatidentityAuditRefusing", "ChatidentityTokensFailing", "ChatidentityLimiterFallback", "ChatidentitySecretChanged",
	}
	for _, rule := range r.rules.rules {
		if want := slices.Contains(happened, rule.Alert); rule.Alert != "" && r.fired[rule.Alert] != want {
			t.Errorf("%s fired: %t, want %t", rule.Alert, r.fired[rule.Alert], want)
		}
	}
	if still := r.rules.firing("ChatidentityAuditRefusing", r.now); len(still) > 0 {
		t.Errorf("it did not clear: %v", still)
	}
}

// graph is what a panel shows of a run.
type graph struct {
	row, title, unit string
	expressions      []string
	lines            promql.Matrix
}

// evaluatePanels evaluates every query of the dashboard. Each must return a number.
func (r *run) evaluatePanels(t *testing.T) []graph {
	t.Helper()
	filled := expressions(t)
	var graphs []graph
	for _, row := range rows {
		for _, panel := range row.panels {
			one := graph{row: row.question, title: panel.title, unit: panel.unit, expressions: filled[panel.title]}
			if len(one.expressions) != len(panel.queries) {
				t.Errorf("%s has %d queries in the file", panel.title, len(one.expressions))
			}
			for _, expression := range one.expressions {
				lines := r.store.over(t, expression, r.begin.Add(2*scrapeInterval), r.now, scrapeInterval)
				if !hasNumber(lines) {
					t.Errorf("%s: no data: %s", panel.title, expression)
				}
				one.lines = append(one.lines, lines...)
			}
			graphs = append(graphs, one)
		}
	}
	return graphs
}

func hasNumber(lines promql.Matrix) bool {
	for _, line := range lines {
		for _, point := range line.Floats {
			if !math.IsNaN(point.F) {
				return true
			}
		}
	}
	return false
}

// unknown returns each metric, label and value in an expression that the store does not have.
func (s *store) unknown(expression string) []string {
	parsed, err := newParser().ParseExpr(expression)
	if err != nil {
		return []string{err.Error()}
	}
	var missing []string
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			for _, matcher := range n.LabelMatchers {
				missing = append(missing, s.unmatched(n.Name, matcher)...)
			}
		case *parser.AggregateExpr:
			missing = append(missing, s.unlabelled(n, n.Grouping)...)
		case *parser.BinaryExpr:
			if n.VectorMatching != nil {
				missing = append(missing, s.unlabelled(n, n.VectorMatching.MatchingLabels)...)
			}
		}
		return nil
	})
	return missing
}

// unmatched returns the values that a matcher names, each alternative of a|b|c, and no series has.
func (s *store) unmatched(metric string, matcher *labels.Matcher) []string {
	alternatives := []string{matcher.Value}
	if matcher.Type == labels.MatchRegexp {
		alternatives = strings.Split(matcher.Value, "|")
	}
	var missing []string
	for _, alternative := range alternatives {
		one := labels.MustNewMatcher(matcher.Type, matcher.Name, alternative)
		if !s.has(func(l labels.Labels) bool {
			return l.Get(model.MetricNameLabel) == metric && l.Has(matcher.Name) && one.Matches(l.Get(matcher.Name))
		}) {
			missing = append(missing, fmt.Sprintf("no series of %s has %v", metric, one))
		}
	}
	return missing
}

// unlabelled returns the labels that a metric in an expression does not have.
func (s *store) unlabelled(expression parser.Expr, names []string) []string {
	metrics := map[string]bool{}
	parser.Inspect(expression, func(node parser.Node, _ []parser.Node) error {
		if selector, ok := node.(*parser.VectorSelector); ok {
			metrics[selector.Name] = true
		}
		return nil
	})
	var missing []string
	for _, name := range names {
		for metric := range metrics {
			if !s.has(func(l labels.Labels) bool { return l.Get(model.MetricNameLabel) == metric && l.Has(name) }) {
				missing = append(missing, fmt.Sprintf("%s has no label %s", metric, name))
			}
		}
	}
	return missing
}

func (s *store) has(what func(labels.Labels) bool) bool {
	for _, series := range s.series {
		if what(series.Metric) {
			return true
		}
	}
	return false
}

func TestUnknownNamesAreFound(t *testing.T) {
	t.Parallel()
	s := newStore()
	s.add(labels.FromStrings(model.MetricNameLabel, "m", "reason", "A"), time.Unix(0, 0), 1)
	for expression, wantMissing := range map[string]bool{
		`sum by (reason) (m{reason=~"A"})`: false, `m{reason="A"}`: false,
		`n`: true, `m{reason="B"}`: true, `m{reason=~"A|B"}`: true, `m{kind="A"}`: true, `sum by (kind) (m)`: true, `m{`: true,
	} {
		if missing := s.unknown(expression); len(missing) > 0 != wantMissing {
			t.Errorf("%s: %v", expression, missing)
		}
	}
}

// The drawing has every panel.
func TestDrawing(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(drawingFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		for _, panel := range row.panels {
			if !bytes.Contains(text, []byte(html.EscapeString(panel.title)+"<")) {
				t.Errorf("docs/dashboard.svg has no %q: run `make observe UPDATE=-update`", panel.title)
			}
		}
	}
}
