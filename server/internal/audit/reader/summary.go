package reader

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

const (
	maxBars   = 24      // of the chart
	barWidth  = 40      // of the longest
	maxValues = 100     // of a field that are told apart
	maxCount  = 1 << 62 // that the log writes
	others    = "(others)"
	barLayout = "2006-01-02 15:04:05Z07:00"
)

// summarized are the fields by which a summary counts calls.
var summarized = []string{"outcome", fieldReason, "caller", "organization"}

// Summary counts the calls of records: a record of a call is one, and a calls.refused those that it
// counts.
type Summary struct {
	calls  uint64
	counts map[string]map[string]uint64 // by field and value
	bars   map[int64]uint64             // by time, in steps
	step   time.Duration
}

// Add counts the calls of a record. A chain.start and a copy.gap have none.
func (s *Summary) Add(l *audit.Line) {
	if s.counts == nil {
		s.counts, s.bars, s.step = map[string]map[string]uint64{}, map[int64]uint64{}, time.Second
	}
	n := callsOf(l)
	if n == 0 {
		return
	}
	s.calls = plus(s.calls, n)
	for _, field := range summarized {
		values := s.counts[field]
		if values == nil {
			values = map[string]uint64{}
			s.counts[field] = values
		}
		value := cmp.Or(string(l.Get(field)), "-")
		if _, known := values[value]; !known && len(values) >= maxValues {
			value = others
		}
		values[value] = plus(values[value], n)
	}
	at, err := time.Parse(time.RFC3339Nano, string(l.Get("time")))
	if year := at.Year(); err == nil && year >= 2000 && year < 2200 { // of others the nanoseconds may overflow
		bar := at.UnixNano() / int64(s.step)
		s.bars[bar] = plus(s.bars[bar], n)
		s.widen()
	}
}

// callsOf is how many calls a record stands for.
func callsOf(l *audit.Line) uint64 {
	switch audit.Event(l.Get("event")) {
	case audit.EventStart, audit.EventCopyGap:
		return 0
	case audit.EventRefused:
		n, err := strconv.ParseUint(string(l.Get("count")), 10, 64)
		if err == nil && n >= 1 && n <= maxCount {
			return n
		}
	case audit.EventIssue, audit.EventVerify:
	}
	return 1
}

// plus adds, up to the largest number: records are not verified, and may say anything.
func plus(a, b uint64) uint64 {
	sum, carry := bits.Add64(a, b, 0)
	if carry != 0 {
		return math.MaxUint64
	}
	return sum
}

// widen doubles the step of the chart until it has few enough bars.
func (s *Summary) widen() {
	for {
		first, last := s.span()
		if last-first < maxBars {
			return
		}
		wider := map[int64]uint64{}
		for at, n := range s.bars {
			wider[at>>1] = plus(wider[at>>1], n)
		}
		s.bars, s.step = wider, 2*s.step
	}
}

func (s *Summary) span() (int64, int64) {
	at := slices.Collect(maps.Keys(s.bars))
	return slices.Min(at), slices.Max(at)
}

// Print writes the summary for people. Times are in the zone.
func (s *Summary) Print(w io.Writer, zone *time.Location) error {
	var b strings.Builder
	_, _ = fmt.Fprintf(&b, "%d calls\n", s.calls)
	for _, field := range summarized {
		values := s.counts[field]
		names := slices.SortedFunc(maps.Keys(values), func(a, b string) int {
			return cmp.Or(cmp.Compare(values[b], values[a]), cmp.Compare(a, b))
		})
		for i, name := range names {
			title := ""
			if i == 0 {
				title = field
			}
			_, _ = fmt.Fprintf(&b, "%-12s  %10d  %s\n", title, values[name], name)
		}
	}
	if len(s.bars) > 0 {
		s.chart(&b, zone)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (s *Summary) chart(b *strings.Builder, zone *time.Location) {
	first, last := s.span()
	most := slices.Max(slices.Collect(maps.Values(s.bars))) // each bar has at least one call
	_, _ = fmt.Fprintf(b, "calls in steps of %v\n", s.step)
	for at := first; at <= last; at++ {
		n := s.bars[at]
		length := int(float64(n) * barWidth / float64(most)) // n * barWidth may be too large a number
		if n > 0 {
			length = max(length, 1)
		}
		begin := time.Unix(0, at*int64(s.step)).In(zone).Format(barLayout)
		_, _ = fmt.Fprintf(b, "%-*s  %-*s  %d\n", len(barLayout), begin, barWidth, strings.Repeat("#", length), n)
	}
}
