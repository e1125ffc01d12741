package ratelimit

import (
	"fmt"
	"sync/atomic"
	"testing"
)

// rotation makes a million customers out of 1,024 organizations and 1,024 names. Their keys stay in
// the processor's cache, as they do when a request was just decoded, so the benchmark measures the
// limiter's memory and not its own.
type rotation struct {
	call  Budgets
	parts [1024]string
}

const customers = 1024 * 1024

func newRotation(b *testing.B) *rotation {
	b.Helper()
	r := &rotation{call: budgetsFor(0, mustRate(b, "1000000/s:1000000"), mustRate(b, "1000000/s:1000000"), mustRate(b, "10/m:10"))}
	for i := range r.parts {
		r.parts[i] = fmt.Sprintf("part-%04d", i)
	}
	return r
}

func (r *rotation) customer(i int) Budgets {
	call := r.call
	call[Customer].Key.Scope, call[Customer].Key.Name = r.parts[i/1024%1024], r.parts[i%1024]
	return call
}

// filledLocal knows all customers already.
func filledLocal(b *testing.B, r *rotation) *Local {
	b.Helper()
	local := NewLocal(DefaultCapacity, Monotonic())
	for i := range customers {
		local.Take(b.Context(), r.customer(i))
	}
	b.ReportAllocs()
	b.ResetTimer()
	return local
}

// Three limits, a million customers, the real clock.
func BenchmarkLocal(b *testing.B) {
	r := newRotation(b)
	local := filledLocal(b, r)
	for i := 0; b.Loop(); i++ {
		local.Take(b.Context(), r.customer(i))
	}
}

func BenchmarkLocalParallel(b *testing.B) {
	r := newRotation(b)
	local := filledLocal(b, r)
	var workers atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		for i := int(workers.Add(1)) * customers / 3; pb.Next(); i++ {
			local.Take(b.Context(), r.customer(i))
		}
	})
}

// A single customer: the difference is what memory costs.
func BenchmarkLocalOneCustomer(b *testing.B) {
	r := newRotation(b)
	local := filledLocal(b, r)
	for b.Loop() {
		local.Take(b.Context(), r.customer(0))
	}
}

// The clock's share of a decision.
func BenchmarkClock(b *testing.B) {
	clock := Monotonic()
	for b.Loop() {
		_ = clock()
	}
}
