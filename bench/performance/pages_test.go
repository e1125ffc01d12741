package main

import (
	"flag"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chatidentity/chatidentity/bench/performance/page"
	"github.com/chatidentity/chatidentity/bench/performance/stats"
)

var update = flag.Bool("update", false, "write the first lines of docs/performance.md anew from its tables")

var pagePath = filepath.Join("..", "..", "docs", "performance.md")

func read(t *testing.T, path string) page.Document {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return page.Document(text)
}

// The first lines of the page say what its tables say.
func TestSummaryIsOfTheTables(t *testing.T) {
	t.Parallel()
	if *update {
		if err := summarize(pagePath); err != nil {
			t.Fatal(err)
		}
	}
	d, want, err := summaryOf(pagePath)
	if err != nil {
		t.Fatal(err)
	}
	got, err := d.Block("summary")
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("docs/performance.md begins with\n%s\nand its tables say (go test . -update)\n%s", got, want)
	}
}

// A table without the rows that the first lines speak of is an error, not a line with zeros.
func TestSummaryNeedsTheTables(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	whole := string(read(t, pagePath))
	for _, gone := range []string{"calls", "open", "cores", "parts", "footprint", "connections"} {
		path := filepath.Join(folder, gone, "performance.md")
		if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		text := strings.Replace(whole, "<!-- "+gone+": begin -->", "", 1)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := summaryOf(path); err == nil {
			t.Errorf("the page needs no table of %s", gone)
		}
	}
}

// Every verdict of the page follows from the figures beside it.
func TestVerdictsOfThePage(t *testing.T) {
	t.Parallel()
	d := read(t, pagePath)
	open, err := d.Tables("open")
	if err != nil {
		t.Fatal(err)
	}
	var saturated []string
	for _, row := range open[0].Rows {
		first, _, _ := strings.Cut(row[1], " · ")
		p50, err := stats.Parse(first)
		if err != nil {
			t.Fatal(err)
		}
		if isSaturated(p50.Median) {
			saturated = append(saturated, row[0])
		}
	}
	text, err := d.Block("open")
	if err != nil || (saturated != nil) != strings.Contains(text, page.Wrap(saturation(saturated))) {
		t.Errorf("the floor is saturated at %v; %v; the page says\n%s", saturated, err, text)
	}
	known := slices.Concat(targets, footprintTargets(true), footprintTargets(false), openTargets())
	for _, block := range []string{"targets", "others targets"} {
		tables, err := read(t, internals(pagePath)).Tables(block)
		if err != nil || len(tables) != 1 || len(tables[0].Rows) == 0 {
			t.Fatalf("%s: %v, %v", block, tables, err)
		}
		for _, row := range tables[0].Rows {
			i := slices.IndexFunc(known, func(t target) bool { return t.figure == row[0] })
			if i < 0 {
				t.Errorf("the program knows no target %q", row[0])
				continue
			}
			want, err := known[i].row(row[1], slices.Contains(saturated, known[i].rate()))
			if err != nil || !slices.Equal(row, want) {
				t.Errorf("the page has the row %q, want %q; %v", row, want, err)
			}
		}
	}
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	both, one := target{bound: 1.5, stretch: 1}, target{bound: 1.5}
	least, dream := target{bound: 2, atLeast: true}, target{bound: math.Inf(1), stretch: 1.5}
	for _, test := range []struct {
		of        target
		measured  string
		saturated bool
		want      string
	}{
		{one, "1.40 (1.30–1.60)", false, "yes"},
		{one, "1.60 (1.40–1.70)", false, "**no**"},
		{one, "1.60 (0.10–9.00)", false, "**no**"}, // a wide spread excuses nothing
		{one, "1.40 (0.10–9.00)", false, "within the noise"},
		{one, "0.20 (0.10–0.40)", true, "within the noise"},
		{one, "0.20 (-0.10–0.40)", false, "within the noise"},
		{both, "0.90 (0.80–1.10)", false, "yes, stretch too"},
		{both, "0.90 (0.30–1.40)", false, "yes"}, // the stretch is within the noise
		{both, "1.20 (1.10–1.30)", false, "yes"},
		{least, "2.50 (2.10–2.60)", false, "yes"},
		{least, "0.88 (0.70–0.88)", false, "**no**"},
		{dream, "-1309.43 (-4606.39–-911.57)", false, "within the noise"},
		{dream, "13.31 (-27.76–50.76)", false, "within the noise"},
		{dream, "1.20 (1.10–1.30)", false, "yes, stretch too"},
		{dream, "3.00 (2.00–4.00)", false, "stretch missed"},
		{one, "2", false, "**no**"},
		{one, "1", false, "yes"},
	} {
		s, err := stats.Parse(test.measured)
		if err != nil {
			t.Fatal(err)
		}
		if got := test.of.verdict(s, test.saturated); got != test.want {
			t.Errorf("%s of at most %v or %v, saturated %t: %s, want %s",
				test.measured, test.of.bound, test.of.stretch, test.saturated, got, test.want)
		}
	}
}

func TestNumbersOfTheSummary(t *testing.T) {
	t.Parallel()
	for microseconds, want := range map[float64]string{
		13.6: "0.014", 50.1: "0.050", 99.9: "0.100", 826: "0.83", 2000: "2.0", 13465: "13", 1193938: "1194", 0: "0.000",
	} {
		if got := ms(microseconds); got != want {
			t.Errorf("%v µs are %s ms, want %s", microseconds, got, want)
		}
	}
	for value, want := range map[float64]string{12946: "12,900", 1049: "1,000", 960: "1,000", 340: "300"} {
		if got := hundreds(value); got != want {
			t.Errorf("%v is rounded to %s, want %s", value, got, want)
		}
	}
}
