package page

import (
	"fmt"
	"math"
	"os"
	"strings"
)

// Plot is a chart of lines.
type Plot struct {
	Title, X, Y string
	Lines       []Line
	XTicks      []Tick
	LogX        bool
	LogY        bool
}

// Line is a series of points, in order of X.
type Line struct {
	Name   string
	Points []Point
}

// Point is a value, with the spread of the rounds around it if Low is below High.
type Point struct{ X, Y, Low, High float64 }

// Tick is a mark on an axis.
type Tick struct {
	At   float64
	Text string
}

const (
	width, height           = 720.0, 400.0
	left, right, top, under = 70.0, 190.0, 40.0, 55.0
)

var colours = []string{"#57606a", "#0969da", "#cf222e", "#8250df", "#1a7f37", "#bf8700"}

// Write makes an SVG file. It shows on light and dark pages alike: it has a background of its own.
func (p *Plot) Write(path string) error {
	var svg strings.Builder
	svg.WriteString(`<svg xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="12"`)
	fmt.Fprintf(&svg, ` viewBox="0 0 %g %g">`+"\n", width, height)
	fmt.Fprintf(&svg, `<rect width="%g" height="%g" fill="#ffffff"/>`+"\n", width, height)
	text(&svg, left, top-18, "start", p.Title)
	text(&svg, (left+width-right)/2, height-12, "middle", p.X)
	fmt.Fprintf(&svg, `<text transform="translate(18 %g) rotate(-90)" text-anchor="middle">%s</text>`+"\n",
		(top+height-under)/2, p.Y)
	x, y := p.scales()
	for _, tick := range p.XTicks {
		at := x.place(tick.At)
		rule(&svg, at, top, at, height-under)
		text(&svg, at, height-under+18, "middle", tick.Text)
	}
	for _, tick := range y.ticks() {
		at := y.place(tick)
		rule(&svg, left, at, width-right, at)
		text(&svg, left-8, at+4, "end", fmt.Sprintf("%g", tick))
	}
	for i, line := range p.Lines {
		colour := colours[i%len(colours)]
		line.draw(&svg, colour, x, y)
		at := top + 20*float64(i)
		fmt.Fprintf(&svg, `<line x1="%g" y1="%g" x2="%g" y2="%g" stroke="%s" stroke-width="2"/>`+"\n",
			width-right+12, at, width-right+32, at, colour)
		text(&svg, width-right+38, at+4, "start", line.Name)
	}
	svg.WriteString("</svg>\n")
	return os.WriteFile(path, []byte(svg.String()), 0o644)
}

func (l *Line) draw(svg *strings.Builder, colour string, x, y scale) {
	var points []string
	for _, point := range l.Points {
		px := x.place(point.X)
		points = append(points, fmt.Sprintf("%.1f,%.1f", px, y.place(point.Y)))
		if point.Low < point.High {
			fmt.Fprintf(svg, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="5" opacity="0.3"/>`+"\n",
				px, y.place(point.Low), px, y.place(point.High), colour)
		}
	}
	fmt.Fprintf(svg, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n",
		strings.Join(points, " "), colour)
}

func text(svg *strings.Builder, x, y float64, anchor, words string) {
	fmt.Fprintf(svg, `<text x="%.1f" y="%.1f" text-anchor="%s" fill="#1f2328">%s</text>`+"\n", x, y, anchor, words)
}

func rule(svg *strings.Builder, x1, y1, x2, y2 float64) {
	fmt.Fprintf(svg, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#d0d7de"/>`+"\n", x1, y1, x2, y2)
}

// scale places values on an axis.
type scale struct {
	from, to   float64 // values at its ends
	start, end float64 // where these are
	log        bool
}

func (p *Plot) scales() (scale, scale) {
	x := scale{from: math.Inf(1), to: math.Inf(-1), start: left, end: width - right, log: p.LogX}
	y := scale{from: math.Inf(1), to: math.Inf(-1), start: height - under, end: top, log: p.LogY}
	for _, line := range p.Lines {
		for _, point := range line.Points {
			x.from, x.to = min(x.from, point.X), max(x.to, point.X)
			y.from, y.to = min(y.from, point.Y), max(y.to, point.Y, point.High)
		}
	}
	if !p.LogY {
		y.from = 0
	}
	y.to *= 1.05
	return x, y
}

func (s scale) place(value float64) float64 {
	from, to := s.from, s.to
	if s.log {
		value, from, to = math.Log(value), math.Log(from), math.Log(to)
	}
	return s.start + (value-from)/(to-from)*(s.end-s.start)
}

// ticks are round values along the axis: 1, 2 and 5 times powers of ten.
func (s scale) ticks() []float64 {
	var all []float64
	if s.log {
		for power := math.Floor(math.Log10(s.from)); power <= math.Log10(s.to); power++ {
			for _, digit := range []float64{1, 2, 5} {
				if tick := digit * math.Pow(10, power); tick >= s.from && tick <= s.to {
					all = append(all, tick)
				}
			}
		}
		return all
	}
	step := math.Pow(10, math.Floor(math.Log10(s.to-s.from)))
	for (s.to-s.from)/step < 4 {
		step /= 2
	}
	for tick := s.from; tick <= s.to; tick += step {
		all = append(all, tick)
	}
	return all
}
