package stats_test

import (
	"testing"

	"github.com/chatidentity/chatidentity/bench/performance/stats"
)

func TestSeries(t *testing.T) {
	t.Parallel()
	series := stats.Series{4, 1, 3, 2, 5}
	if got, want := series.Text(1), "3.0 (2.0–4.0)"; got != want {
		t.Errorf("median and quartiles %s, want %s", got, want)
	}
	// Round by round: the medians' own quotient would be 1.5.
	if got := (stats.Series{2, 3, 9}).Over(stats.Series{1, 2, 3}).Median(); got != 2 {
		t.Errorf("median of the ratios %v, want 2", got)
	}
	if got := (stats.Series{2}).Text(2); got != "2.00" {
		t.Errorf("one value %s, want 2.00", got)
	}
}
