// Package retry says when to ask another server again, and in words why it gave no answer.
package retry

import "time"

// Doubling is the pauses between attempts: the first, doubling up to the longest.
type Doubling struct{ First, Longest time.Duration }

// Pause returns how long to wait after a number of failures in a row (1 or more): the doubled pause
// or, if it is longer, what the server asked for (0: nothing). Random, in [0, 1), makes it up to
// half as long again, so that a fleet does not come back in step.
func (d Doubling) Pause(failures int, asked time.Duration, random float64) time.Duration {
	pause := min(d.First, d.Longest)
	for range failures - 1 {
		if pause > d.Longest/2 {
			pause = d.Longest
			break
		}
		pause *= 2
	}
	pause = max(pause, asked)
	return pause + time.Duration(random*float64(pause)/2)
}
