package ratelimit

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func customerKey(i int) Key {
	return Key{Kind: "external_id", Scope: "default", Name: strconv.Itoa(i)}
}

// budgetsFor returns what a call for a customer spends. Its caller's name means nothing in other
// replicas.
func budgetsFor(customer int, global, caller, perCustomer Rate) Budgets {
	return Budgets{
		Global:   {Rate: global},
		Caller:   {Key: Key{Kind: "uid", Name: "1000"}, Rate: caller, Local: true},
		Customer: {Key: customerKey(customer), Rate: perCustomer},
	}
}

// newTestLocal has room for capacity customers. Tests pass the time to takeAt.
func newTestLocal(capacity int) *Local { return NewLocal(capacity, Monotonic()) }

func TestLocalOfThirtyCallsTenPass(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		local := NewLocal(100, Monotonic())
		call := budgetsFor(1, Rate{}, mustRate(t, "200/s:400"), mustRate(t, "10/m:10"))
		allowed := 0
		var refused Decision
		for range 30 {
			decision, err := local.Take(t.Context(), call)
			if err != nil {
				t.Fatal(err)
			}
			if decision.Allowed {
				allowed++
			} else {
				refused = decision
			}
		}
		if allowed != 10 || refused.Limit != Customer || refused.RetryAfter != 6*time.Second {
			t.Fatalf("%d passed, then %+v; want 10, then the customer's limit for 6 s", allowed, refused)
		}
		time.Sleep(refused.RetryAfter - 1)
		if early, _ := local.Take(t.Context(), call); early.Allowed || early.RetryAfter != 1 {
			t.Errorf("a nanosecond early: %+v", early)
		}
		time.Sleep(time.Nanosecond)
		if next, _ := local.Take(t.Context(), call); !next.Allowed {
			t.Errorf("after the wait: %+v", next)
		}
	})
}

// For any pattern of arrivals and in every stretch of time, at most burst + rate × t calls pass,
// and the wait is exact.
func TestLocalNeverExceedsTheRateAndWaitsExactly(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 1))
		rate := mustRate(t, fmt.Sprintf("%d/%c:%d", 1+random.IntN(5000), "smh"[random.IntN(3)], 1+random.IntN(20)))
		call := budgetsFor(1, Rate{}, Rate{}, rate)
		local := newTestLocal(16)
		now := time.Duration(random.Int64N(int64(time.Hour)))
		var admitted []time.Duration
		for range 200 {
			// From no time at all (a crowd) to twice the time that earns a call.
			now += time.Duration(random.Int64N(2*int64(rate.interval)+1)) * time.Duration(random.IntN(2))
			decision := local.takeAt(now, &call)
			if !decision.Allowed && random.IntN(2) == 0 {
				if early := local.takeAt(now+decision.RetryAfter-1, &call); early.Allowed {
					t.Fatalf("seed %d, %s: admitted a nanosecond before its time", seed, rate)
				}
				now += decision.RetryAfter
				if decision = local.takeAt(now, &call); !decision.Allowed {
					t.Fatalf("seed %d, %s: refused at the time that it was told: %+v", seed, rate, decision)
				}
			}
			if decision.Allowed {
				admitted = append(admitted, now)
			}
		}
		assertWithinRate(t, admitted, rate)
	}
}

// assertWithinRate checks every stretch between two admitted calls.
func assertWithinRate(t *testing.T, admitted []time.Duration, rate Rate) {
	t.Helper()
	for i := range admitted {
		for j := i; j < len(admitted); j++ {
			if n, most := j-i+1, int(rate.burst)+int((admitted[j]-admitted[i])/rate.interval); n > most {
				t.Fatalf("%s: %d calls in %v, at most %d are allowed", rate, n, admitted[j]-admitted[i], most)
			}
		}
	}
}

// A model that spends one budget of each limit only when all of them agree decides the same.
func TestLocalSpendsAllBudgetsOrNone(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(7, 7))
	rates := Rates{Global: mustRate(t, "45/s:20"), Caller: mustRate(t, "25/s:5"), Customer: mustRate(t, "6/s:2")}
	local := newTestLocal(1 << 12)
	model := map[string]time.Duration{}
	var now time.Duration
	refusals := map[Limit]int{}
	for range 20_000 {
		now += time.Duration(random.Int64N(int64(30 * time.Millisecond)))
		call := budgetsFor(random.IntN(12), rates[Global], rates[Caller], rates[Customer])
		call[Caller].Key.Name = strconv.Itoa(random.IntN(2))
		want := Decision{Allowed: true}
		next := map[string]time.Duration{}
		for d := range call {
			name := fmt.Sprint(d, call[d].Key)
			tat, wait := gcra(now, model[name], call[d].Rate)
			next[name] = tat
			if wait > want.RetryAfter {
				want = Decision{Limit: Limit(d), RetryAfter: wait}
			}
		}
		if got := local.takeAt(now, &call); got != want {
			t.Fatalf("at %v: got %+v, want %+v", now, got, want)
		}
		if want.Allowed {
			maps.Copy(model, next)
		} else {
			refusals[want.Limit]++
		}
	}
	for _, limit := range Limits() {
		if refusals[limit] == 0 && !rates[limit].IsOff() {
			t.Errorf("%v refused nothing: %v", limit, refusals)
		}
	}
}

// The decision names the limit with the longest wait, because only that wait is enough.
func TestLocalNamesTheLongestWait(t *testing.T) {
	t.Parallel()
	local := newTestLocal(16)
	call := budgetsFor(1, mustRate(t, "1/s"), mustRate(t, "1/h"), mustRate(t, "1/m"))
	if first := local.takeAt(0, &call); !first.Allowed {
		t.Fatal(first)
	}
	if got, want := local.takeAt(0, &call), (Decision{Limit: Caller, RetryAfter: time.Hour}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestLocalNamesTheWidestOfLimitsThatWaitEquallyLong(t *testing.T) {
	t.Parallel()
	local := newTestLocal(16)
	call := budgetsFor(1, mustRate(t, "1/h"), mustRate(t, "1/h"), mustRate(t, "1/h"))
	local.takeAt(0, &call)
	if d := local.takeAt(0, &call); d.Allowed || d.Limit != Global {
		t.Errorf("got %+v", d)
	}
}

func TestLocalPeekDecidesAsTakeAndSpendsNothing(t *testing.T) {
	t.Parallel()
	clock := manual{}
	local := NewLocal(16, clock.clock)
	call := budgetsFor(1, Rate{}, Rate{}, mustRate(t, "1/m:2"))
	for n := range 3 {
		first, second := local.Peek(&call), local.Peek(&call)
		if taken := local.takeAt(0, &call); first != taken || second != taken {
			t.Errorf("call %d: %+v, then %+v, then taken %+v", n, first, second, taken)
		}
	}
}

func TestLocalWithoutLimits(t *testing.T) {
	t.Parallel()
	local := newTestLocal(16)
	for range 1000 {
		if d := local.takeAt(0, &Budgets{}); !d.Allowed || d.RetryAfter != 0 {
			t.Fatal(d)
		}
	}
}

// Keys that read the same when joined are different keys.
func TestLocalKeepsKeysApart(t *testing.T) {
	t.Parallel()
	local := newTestLocal(1 << 10)
	rate := mustRate(t, "1/h")
	for _, key := range []Key{
		{},
		{Kind: "ab"},
		{Kind: "a", Scope: "b"},
		{Scope: "ab"},
		{Scope: "a", Name: "b"},
		{Name: "ab"},
		{Kind: "a", Name: "b"},
		{Kind: "a\x00", Scope: "b"},
		{Kind: "a", Scope: "\x00b"},
	} {
		call := Budgets{Customer: {Key: key, Rate: rate}}
		if !local.takeAt(0, &call).Allowed {
			t.Errorf("%q was taken for another", key)
		}
		if local.takeAt(0, &call).Allowed {
			t.Errorf("%q was not remembered", key)
		}
	}
}

// Calls read the clock before they wait for the lock, so they may come out of order. The budget's
// time must not go back, and the wait must be exact from the call's own reading.
func TestLocalTakesTimesOutOfOrder(t *testing.T) {
	t.Parallel()
	local := newTestLocal(16)
	call := budgetsFor(1, Rate{}, Rate{}, mustRate(t, "1/s:2"))
	first, late := local.takeAt(500*time.Millisecond, &call), local.takeAt(0, &call)
	if !first.Allowed || !late.Allowed {
		t.Fatal("the burst did not pass")
	}
	decision := local.takeAt(0, &call)
	if want := 1500 * time.Millisecond; decision.RetryAfter != want {
		t.Fatalf("wait is %v, want %v", decision.RetryAfter, want)
	}
	if !local.takeAt(decision.RetryAfter, &call).Allowed {
		t.Error("refused at the time that it was told")
	}
}

func TestLocalRateChangesForAKnownKey(t *testing.T) {
	t.Parallel()
	local := newTestLocal(16)
	slow, fast := budgetsFor(1, Rate{}, Rate{}, mustRate(t, "1/h")), budgetsFor(1, Rate{}, Rate{}, mustRate(t, "10/s:5"))
	local.takeAt(0, &slow)
	if d := local.takeAt(0, &fast); d.Allowed || d.RetryAfter != 100*time.Millisecond {
		t.Errorf("after the change: %+v, want an empty budget at the new rate", d)
	}
	if !local.takeAt(100*time.Millisecond, &fast).Allowed {
		t.Error("the new rate does not count")
	}
}

// With many goroutines and a clock that stands still, exactly the burst passes.
func TestLocalConcurrently(t *testing.T) {
	t.Parallel()
	local := newTestLocal(1 << 10)
	call := budgetsFor(1, mustRate(t, "1000/h:300"), mustRate(t, "1000/h:200"), mustRate(t, "1000/h:100"))
	var admitted atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 50 {
				if local.takeAt(0, &call).Allowed {
					admitted.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if n := admitted.Load(); n != 100 {
		t.Errorf("%d passed, want 100", n)
	}
	// The 700 refusals spent nothing, so others can spend what is left.
	other := budgetsFor(2, mustRate(t, "1000/h:300"), mustRate(t, "1000/h:200"), Rate{})
	left := 0
	for local.takeAt(0, &other).Allowed {
		left++
	}
	if left != 100 {
		t.Errorf("the caller had %d left, want 100", left)
	}
}

//nolint:paralleltest // AllocsPerRun counts the whole process
func TestLocalDoesNotAllocate(t *testing.T) {
	local := NewLocal(1<<10, Monotonic())
	call := budgetsFor(1, mustRate(t, "1000/s"), mustRate(t, "100/s"), mustRate(t, "10/s"))
	var limiter interface {
		Take(ctx context.Context, budgets Budgets) (Decision, error)
	} = local
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() { limiter.Take(ctx, call) }); n != 0 {
		t.Errorf("%v allocations a decision", n)
	}
}
