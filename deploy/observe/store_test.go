package observe

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
)

// store holds series for Prometheus' engine.
type store struct {
	engine *promql.Engine
	series map[string]*promql.Series
}

func newStore() *store {
	return &store{
		engine: promql.NewEngine(promql.EngineOpts{
			MaxSamples: 10_000_000, Timeout: time.Minute, LookbackDelta: 5 * time.Minute,
			EnableAtModifier: true, EnableNegativeOffset: true, Parser: newParser(),
		}),
		series: map[string]*promql.Series{},
	}
}

func newParser() parser.Parser { return parser.NewParser(parser.Options{}) }

// add appends a sample. Those of a series must come in the order of time.
func (s *store) add(metric labels.Labels, at time.Time, value float64) {
	key := metric.String()
	if s.series[key] == nil {
		s.series[key] = &promql.Series{Metric: metric}
	}
	s.series[key].Floats = append(s.series[key].Floats, promql.FPoint{T: at.UnixMilli(), F: value})
}

// Querier returns what the engine reads.
func (s *store) Querier(int64, int64) (storage.Querier, error) {
	return &storage.MockQuerier{SelectMockFunction: s.find}, nil
}

func (s *store) find(_ bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	var found []storage.Series
	for _, key := range slices.Sorted(maps.Keys(s.series)) {
		series := s.series[key]
		differs := func(m *labels.Matcher) bool { return !m.Matches(series.Metric.Get(m.Name)) }
		if !slices.ContainsFunc(matchers, differs) {
			found = append(found, promql.NewStorageSeries(between(series, hints)))
		}
	}
	return &list{SeriesSet: storage.EmptySeriesSet(), series: found}
}

// between returns the part of the series that a query needs.
func between(series *promql.Series, hints *storage.SelectHints) promql.Series {
	byTime := func(p promql.FPoint, at int64) int { return cmp.Compare(p.T, at) }
	from, _ := slices.BinarySearchFunc(series.Floats, hints.Start, byTime)
	to, _ := slices.BinarySearchFunc(series.Floats, hints.End+1, byTime)
	return promql.Series{Metric: series.Metric, Floats: series.Floats[from:to]}
}

// list is a storage.SeriesSet.
type list struct {
	storage.SeriesSet // of its methods, the rest says that there is no error

	series []storage.Series
	next   int
}

func (l *list) Next() bool {
	l.next++
	return l.next <= len(l.series)
}

func (l *list) At() storage.Series { return l.series[l.next-1] }

// at evaluates an expression at one time.
func (s *store) at(t *testing.T, expression string, when time.Time) promql.Vector {
	t.Helper()
	query, err := s.engine.NewInstantQuery(context.Background(), s, nil, expression, when)
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	defer query.Close()
	vector, err := query.Exec(context.Background()).Vector()
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return slices.Clone(vector)
}

// over evaluates an expression from one time to another.
func (s *store) over(t *testing.T, expression string, from, to time.Time, step time.Duration) promql.Matrix {
	t.Helper()
	query, err := s.engine.NewRangeQuery(context.Background(), s, nil, expression, from, to, step)
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	matrix, err := query.Exec(context.Background()).Matrix()
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return matrix // without Close, which would have it used again
}
