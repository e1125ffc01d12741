package trace

import (
	"maps"
	"slices"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"golang.org/x/time/rate"
)

// Sampler says which calls have spans. The zero value does what DefaultSampler says.
type Sampler struct{ sampler sdktrace.Sampler }

// DefaultSampler samples the calls whose callers do, and those without a traceparent.
const DefaultSampler = "parentbased_always_on"

// samplers are those of OTEL_TRACES_SAMPLER that need no server of their own. ratio is the share of
// calls that is sampled, where the sampler has one.
var samplers = map[string]func(ratio float64) sdktrace.Sampler{
	"always_on":    func(float64) sdktrace.Sampler { return sdktrace.AlwaysSample() },
	"always_off":   func(float64) sdktrace.Sampler { return sdktrace.NeverSample() },
	"traceidratio": sdktrace.TraceIDRatioBased,
	DefaultSampler: func(float64) sdktrace.Sampler { return sdktrace.ParentBased(sdktrace.AlwaysSample()) },
	"parentbased_always_off": func(float64) sdktrace.Sampler {
		return sdktrace.ParentBased(sdktrace.NeverSample())
	},
	"parentbased_traceidratio": func(ratio float64) sdktrace.Sampler {
		return sdktrace.ParentBased(sdktrace.TraceIDRatioBased(ratio))
	},
}

// NewSampler returns the sampler of that name, and whether there is one.
func NewSampler(name string, ratio float64) (Sampler, bool) {
	newSampler, found := samplers[name]
	if !found {
		return Sampler{}, false
	}
	return Sampler{newSampler(ratio)}, true
}

// Samplers returns the names of all.
func Samplers() []string { return slices.Sorted(maps.Keys(samplers)) }

// bound samples what a sampler samples, up to MaxSpans a second: callers choose what is sampled,
// and must not choose what that costs.
type bound struct {
	sdktrace.Sampler
	budget *rate.Limiter
	drops  *drops
	now    func() time.Time
}

func newBound(s Sampler, d *drops, now func() time.Time) *bound {
	if s.sampler == nil {
		s, _ = NewSampler(DefaultSampler, 1)
	}
	return &bound{s.sampler, rate.NewLimiter(MaxSpans, MaxSpans), d, now}
}

// ShouldSample implements sdktrace.Sampler.
func (b *bound) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	result := b.Sampler.ShouldSample(p)
	if result.Decision != sdktrace.RecordAndSample || b.budget.AllowN(b.now(), 1) {
		return result
	}
	b.drops.rate.Inc()
	result.Decision = sdktrace.Drop
	return result
}
