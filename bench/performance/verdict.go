package main

import (
	"math"
	"strings"

	"github.com/chatidentity/chatidentity/bench/performance/stats"
)

// What a run says of a target.
const (
	held          = "yes"
	heldStretch   = "yes, stretch too"
	missed        = "**no**"
	missedStretch = "stretch missed" // of a figure without another target
	noise         = "within the noise"
)

// verdict says whether the target is held, as far as the spread allows: a wide spread proves no
// target held, and excuses none that is missed. A cost below zero, or one of a saturated machine,
// says nothing at all.
func (t target) verdict(s stats.Spread, saturated bool) string {
	bound, yes, no := t.bound, held, missed
	if math.IsInf(bound, 1) {
		bound, yes, no = t.stretch, heldStretch, missedStretch
	}
	switch {
	case saturated || s.Low < 0:
		return noise
	case !t.holds(s.Median, bound):
		return no
	case isUnsure(s, bound):
		return noise
	case t.stretch != 0 && t.holds(s.Median, t.stretch) && !isUnsure(s, t.stretch):
		return heldStretch
	default:
		return yes
	}
}

// isUnsure reports whether the quartiles lie on both sides of the bound, and further apart than it
// is large.
func isUnsure(s stats.Spread, bound float64) bool {
	return s.Low <= bound && bound <= s.High && s.High-s.Low > bound
}

// isSaturated reports whether even the floor falls behind in an open loop: half of its calls wait
// for more than a twentieth of the time in which calls come.
func isSaturated(floorP50 float64) bool {
	const share = 20
	return floorP50 > float64((openLength / share).Microseconds())
}

// saturation is what the page says of rates at which that is so.
func saturation(rates []string) string {
	return "At " + strings.Join(rates, " and ") + " calls a second even the floor is saturated: its queue grows for as " +
		"long as calls come, so the latencies there say nothing."
}
