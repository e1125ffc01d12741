package ratelimit

import (
	"strings"
	"testing"
	"time"
)

func TestParseRate(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		canonical string
		interval  time.Duration
		burst     int32
	}{
		"10/m:10":     {"10/m:10", 6 * time.Second, 10},
		"200/s:400":   {"200/s:400", 5 * time.Millisecond, 400},
		"5/s":         {"5/s:5", 200 * time.Millisecond, 5},
		"1/h":         {"1/h:1", time.Hour, 1},
		"3/s:1":       {"3/s:1", 333_333_334, 1}, // rounded up: never faster than 3 a second
		"1000000/s":   {"1000000/s:1000000", time.Microsecond, 1_000_000},
		"1/h:720":     {"1/h:720", time.Hour, 720}, // 30 days
		"7/m:1000000": {"7/m:1000000", 0, 0},       // refused below: 99 days
		"off":         {"off", 0, 0},
		"OFF":         {"off", 0, 0},
		"false":       {"off", 0, 0}, // what YAML makes of off
		"10/M":        {"10/m:10", 6 * time.Second, 10},
		"\t1/s\n":     {"1/s:1", time.Second, 1},
		"3/s : 1":     {"3/s:1", 333_333_334, 1},
		"1/hour":      {"1/h:1", time.Hour, 1},
		"5/sec":       {"5/s:5", 200 * time.Millisecond, 5},
		"10 / min":    {"10/m:10", 6 * time.Second, 10},
	} {
		rate, err := ParseRate(text)
		if text == "7/m:1000000" {
			if err == nil {
				t.Errorf("%s: a burst that takes 99 days to earn was accepted", text)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if rate.String() != want.canonical || rate.interval != want.interval || rate.burst != want.burst {
			t.Errorf("%s: got %s, interval %v, burst %d", text, rate, rate.interval, rate.burst)
		}
	}
}

func TestParseRateSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":             "no unit of time",
		"10":           "no unit of time",
		"10/d":         `unit "d" is not s, m or h`,
		"10/":          `unit "" is not s, m or h`,
		"10/moment":    `unit "moment" is not s, m or h`,
		"0/s":          "N is not a number from 1 to 1000000",
		"-1/s":         "N is not a number from 1 to 1000000",
		"+1/s":         "N is not a number from 1 to 1000000",
		"0x1/s":        "N is not a number from 1 to 1000000",
		"1.5/s":        "N is not a number from 1 to 1000000",
		"1000001/s":    "N is not a number from 1 to 1000000",
		"10/s:":        "BURST is not a number from 1 to 1000000",
		"10/s:0":       "BURST is not a number from 1 to 1000000",
		"10/s:1000001": "BURST is not a number from 1 to 1000000",
		"10/s:5:5":     "BURST is not a number from 1 to 1000000",
		"1/h:721":      "BURST 721 takes more than 30 days to earn",
	} {
		rate, err := ParseRate(text)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasSuffix(err.Error(), "want N/s|m|h[:BURST] or off, such as 10/m:10") {
			t.Errorf("%q: error is %v, want it to name %q and the form", text, err, want)
		}
		if rate != (Rate{}) {
			t.Errorf("%q: a rate came with the error: %v", text, rate)
		}
	}
}

func TestRateAsText(t *testing.T) {
	t.Parallel()
	var rate Rate
	if err := rate.UnmarshalText([]byte("30/h")); err != nil || rate.String() != "30/h:30" {
		t.Errorf("got %s, %v", rate, err)
	}
	before := rate
	if err := rate.UnmarshalText([]byte("often")); err == nil || rate != before {
		t.Errorf("a bad text gave %v, %v; want an error and the rate untouched", rate, err)
	}
}

func TestMustRatePanicsWhereParseRateFails(t *testing.T) {
	t.Parallel()
	if rate := MustRate("30/h"); rate != mustRate(t, "30/h") {
		t.Errorf("got %v", rate)
	}
	defer func() {
		if recover() == nil {
			t.Error("a bad text did not panic")
		}
	}()
	MustRate("often")
}

func FuzzParseRate(f *testing.F) {
	for _, text := range []string{"off", "10/m:10", "200/s:400", "5/s", "1/h:721", "999999/s", "1/:", "1/s:١"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rate, err := ParseRate(text)
		if err != nil {
			return
		}
		again, err := ParseRate(rate.String())
		if err != nil || again != rate {
			t.Fatalf("%q reads as %v, which reads as %v, %v", text, rate, again, err)
		}
		if rate.IsOff() {
			return
		}
		if rate.interval < time.Microsecond || rate.Refill() < rate.interval || rate.Refill() > maxRefill {
			t.Fatalf("%q: interval %v, refill %v", text, rate.interval, rate.Refill())
		}
		if rate.interval*time.Duration(rate.count) < periods[string(rate.unit)] {
			t.Fatalf("%q: faster than it says", text)
		}
	})
}
