// Package stats sums up measurements that were repeated.
package stats

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
)

// Series holds the values of one figure, a round each, in the order of the rounds.
type Series []float64

// Median returns the middle value, NaN of an empty series.
func (s Series) Median() float64 { return s.At(0.5) }

// At returns the value below which that share of the values lies, NaN of an empty series.
func (s Series) At(share float64) float64 {
	if len(s) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)]
}

// Over divides round by round, so that what slowed a whole round does not count.
func (s Series) Over(other Series) Series {
	ratios := make(Series, min(len(s), len(other)))
	for i := range ratios {
		ratios[i] = s[i] / other[i]
	}
	return ratios
}

// Minus subtracts round by round.
func (s Series) Minus(other Series) Series {
	differences := make(Series, min(len(s), len(other)))
	for i := range differences {
		differences[i] = s[i] - other[i]
	}
	return differences
}

// Text returns the median and, in parentheses, the quartiles, with that many decimals.
func (s Series) Text(decimals int) string {
	if len(s) < 2 { //nolint:mnd // one value has no spread
		return fmt.Sprintf("%.*f", decimals, s.Median())
	}
	return fmt.Sprintf("%.*f (%.*f–%.*f)", decimals, s.Median(), decimals, s.At(0.25), decimals, s.At(0.75))
}

// Spread is a median and its quartiles. All three are equal if there was one value.
type Spread struct{ Median, Low, High float64 }

var spread = regexp.MustCompile(`^([^ ()]+)(?: \(([^ ()]+)–([^ ()]+)\))?$`)

// Parse reads what Series.Text has written.
func Parse(text string) (Spread, error) {
	found := spread.FindStringSubmatch(text)
	if found == nil {
		return Spread{}, fmt.Errorf("%q is no median with its quartiles", text)
	}
	var values [3]float64
	for i, number := range found[1:] {
		if number == "" {
			values[i] = values[0]
			continue
		}
		var err error
		if values[i], err = strconv.ParseFloat(number, 64); err != nil {
			return Spread{}, err
		}
	}
	return Spread{values[0], values[1], values[2]}, nil
}
