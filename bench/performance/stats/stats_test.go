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

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]stats.Spread{
		"1.12 (0.94–1.32)":            {Median: 1.12, Low: 0.94, High: 1.32},
		"-1309.43 (-4606.39–-911.57)": {Median: -1309.43, Low: -4606.39, High: -911.57},
		"16":                          {Median: 16, Low: 16, High: 16},
		stats.Series{3, 1, 2}.Text(0): {Median: 2, Low: 1, High: 3},
		stats.Series{0.25}.Text(2):    {Median: 0.25, Low: 0.25, High: 0.25},
	} {
		if got, err := stats.Parse(text); err != nil || got != want {
			t.Errorf("%s is read as %v, want %v; %v", text, got, want, err)
		}
	}
	for _, text := range []string{"", "yes", "1.0 (2.0)", "1 · 2"} {
		if got, err := stats.Parse(text); err == nil {
			t.Errorf("%q is read as %v", text, got)
		}
	}
}
