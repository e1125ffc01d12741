package ratelimit

import (
	"testing"
	"time"
)

func mustRate(tb testing.TB, text string) Rate {
	tb.Helper()
	rate, err := ParseRate(text)
	if err != nil {
		tb.Fatal(err)
	}
	return rate
}

// One customer's morning, at 10 a minute with a burst of 3: a call is earned back every six
// seconds.
func TestGCRAStory(t *testing.T) {
	t.Parallel()
	rate := mustRate(t, "10/m:3")
	const ns = time.Nanosecond
	var tat time.Duration
	for _, step := range []struct {
		story string
		now   time.Duration
		wait  time.Duration
	}{
		{"from rest, the whole burst passes at once", 0, 0},
		{"the second", 0, 0},
		{"the third", 0, 0},
		{"the fourth must wait for one to be earned", 0, 6 * time.Second},
		{"waiting half of it leaves the other half", 3 * time.Second, 3 * time.Second},
		{"a nanosecond early is early", 6*time.Second - ns, ns},
		{"then it passes", 6 * time.Second, 0},
		{"and has spent what was earned", 6 * time.Second, 6 * time.Second},
		{"two intervals later there are two", 18 * time.Second, 0},
		{"the second of them", 18 * time.Second, 0},
		{"and no third", 18 * time.Second, 6 * time.Second},
		{"a long rest earns the burst", time.Hour, 0},
		{"two", time.Hour, 0},
		{"three", time.Hour, 0},
		{"and nothing more", time.Hour, 6 * time.Second},
	} {
		next, wait := gcra(step.now, tat, rate)
		if wait != step.wait {
			t.Fatalf("%s: at %v the wait is %v, want %v", step.story, step.now, wait, step.wait)
		}
		if wait == 0 {
			tat = next
		}
	}
}

func BenchmarkGCRA(b *testing.B) {
	rate := mustRate(b, "1000000/s:10")
	var now, tat time.Duration
	for b.Loop() {
		now += time.Microsecond
		tat, _ = gcra(now, tat, rate)
	}
}
