package observe

import (
	"bytes"
	"cmp"
	"fmt"
	"html"
	"math"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/promql"
)

// Sizes in the drawing, in pixels.
const (
	drawingWidth = 1000
	headHeight   = 34
	graphHeight  = 130
	margin       = 10
	linesNamed   = 3
)

var colours = []string{"#3274d9", "#e02f44", "#56a64b", "#ff780a", "#8f3bb8", "#b5a100"}

// draw draws the panels as they would stand in Grafana: a row for each question.
func draw(graphs []graph) []byte {
	var body bytes.Buffer
	y := 0
	for len(graphs) > 0 {
		count := 1
		for count < len(graphs) && graphs[count].row == graphs[0].row {
			count++
		}
		fmt.Fprintf(&body, `<text x="%d" y="%d" font-size="15" font-weight="bold">%s</text>`+"\n",
			margin, y+headHeight-margin, html.EscapeString(graphs[0].row))
		width := drawingWidth / count
		for i, one := range graphs[:count] {
			drawGraph(&body, one, i*width, y+headHeight, width-margin)
		}
		graphs, y = graphs[count:], y+headHeight+graphHeight
	}
	head := fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="10" fill="#222">`+
		"\n"+`<rect width="100%%" height="100%%" fill="#fff"/>`+"\n", drawingWidth, y+margin)
	return append(append([]byte(head), body.Bytes()...), "</svg>\n"...)
}

// drawGraph draws one panel: its lines from 0 to the highest value, which is written above, and the
// names of the highest lines.
func drawGraph(to *bytes.Buffer, one graph, left, top, width int) {
	slices.SortStableFunc(one.lines, func(a, b promql.Series) int { return cmp.Compare(highest(b), highest(a)) })
	low, high, first, last := bounds(one.lines)
	fmt.Fprintf(to, `<text x="%d" y="%d" font-weight="bold">%s</text>`+"\n", left+margin, top+10, html.EscapeString(one.title))
	fmt.Fprintf(to, `<text x="%d" y="%d" fill="#777">max %s</text>`+"\n", left+margin, top+22, amount(high, one.unit))
	const plotTop, plotHeight = 28, 62
	fmt.Fprintf(to, `<rect x="%d" y="%d" width="%d" height="%d" fill="#f4f5f5"/>`+"\n", left+margin, top+plotTop, width-margin, plotHeight)
	for i, line := range one.lines {
		var points strings.Builder
		for _, point := range line.Floats {
			if math.IsNaN(point.F) {
				continue
			}
			x := float64(left+margin) + float64(width-margin)*float64(point.T-first)/float64(max(1, last-first))
			y := float64(top+plotTop+plotHeight) - plotHeight*(point.F-low)/max(high-low, 1e-9)
			fmt.Fprintf(&points, "%.0f,%.0f ", x, y)
		}
		colour := colours[i%len(colours)]
		fmt.Fprintf(to, `<polyline points="%s" fill="none" stroke="%s" stroke-width="1.5"/>`+"\n", strings.TrimSpace(points.String()), colour)
		if i < linesNamed {
			fmt.Fprintf(to, `<text x="%d" y="%d" fill="%s">%s</text>`+"\n",
				left+margin, top+plotTop+plotHeight+10+10*i, colour, html.EscapeString(legend(line)))
		}
	}
}

func highest(line promql.Series) float64 {
	high := math.Inf(-1)
	for _, point := range line.Floats {
		if !math.IsNaN(point.F) {
			high = max(high, point.F)
		}
	}
	return high
}

// bounds returns the lowest value or 0, the highest value, and the times of the first and last
// point.
func bounds(lines promql.Matrix) (float64, float64, int64, int64) {
	low, high, first, last := 0.0, 0.0, int64(math.MaxInt64), int64(0)
	for _, line := range lines {
		for _, point := range line.Floats {
			first, last = min(first, point.T), max(last, point.T)
			if !math.IsNaN(point.F) {
				low, high = min(low, point.F), max(high, point.F)
			}
		}
	}
	return low, high, first, last
}

// legend returns the values of the labels that tell a line from others.
func legend(line promql.Series) string {
	var values []string
	for name, value := range line.Metric.Map() {
		if name != "__name__" && name != "job" {
			values = append(values, value)
		}
	}
	slices.Sort(values)
	return strings.Join(values, " ")
}

func amount(value float64, unit string) string {
	switch unit {
	case "percentunit":
		return fmt.Sprintf("%.3g %%", 100*value)
	case "reqps":
		return fmt.Sprintf("%.3g/s", value)
	case "s":
		return fmt.Sprintf("%.3g s", value)
	default:
		return fmt.Sprintf("%.3g", value)
	}
}
