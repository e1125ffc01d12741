package ratelimit

import (
	"math/rand/v2"
	"testing"
	"time"
)

// manual is a clock that tests set.
type manual struct{ now time.Duration }

func (m *manual) clock() time.Duration { return m.now }

func TestReservationGivenBackLeavesNoTrace(t *testing.T) {
	t.Parallel()
	clock := manual{}
	local := NewLocal(16, clock.clock)
	call := budgetsFor(1, mustRate(t, "1/s:2"), mustRate(t, "1/s:2"), mustRate(t, "1/s:2"))
	reservation, decision := local.Reserve(&call)
	if !decision.Allowed {
		t.Fatal(decision)
	}
	// While it is held it counts, so one more call passes and then no other.
	if !local.takeAt(0, &call).Allowed || local.takeAt(0, &call).Allowed {
		t.Fatal("the reservation did not count as one call")
	}
	clock.now = 500 * time.Millisecond
	reservation.Settle(Answer{})
	// As if it had never been: one call out of two was spent half a second ago.
	if !local.takeAt(clock.now, &call).Allowed {
		t.Error("what was given back is not there")
	}
	if d := local.takeAt(clock.now, &call); d.Allowed || d.RetryAfter != 500*time.Millisecond {
		t.Errorf("got %+v, want to wait half a second", d)
	}
	for limit := range local.tables {
		for i := range local.tables[limit].shards {
			if n := len(local.tables[limit].shards[i].reserved); n != 0 {
				t.Errorf("%d settled reservations remain for %v", n, Limit(limit))
			}
		}
	}
}

func TestReservationRemembersTheSharedStore(t *testing.T) {
	t.Parallel()
	clock := manual{now: time.Second}
	local := NewLocal(16, clock.clock)
	call := budgetsFor(1, mustRate(t, "1/m:5"), Rate{}, mustRate(t, "10/m:10"))
	reservation, _ := local.Reserve(&call)
	ahead := [limitCount]time.Duration{Customer: 58 * time.Second} // of 60: the next is earned in 4 s
	reservation.Settle(Answer{Ahead: ahead})
	if d := local.takeAt(clock.now, &call); d.Allowed || d.Limit != Customer || d.RetryAfter != 4*time.Second {
		t.Fatalf("got %+v, want the customer's limit for 4 s", d)
	}
	clock.now += 4*time.Second - 1
	if local.takeAt(clock.now, &call).Allowed {
		t.Error("a nanosecond early")
	}
	if !local.takeAt(clock.now+1, &call).Allowed {
		t.Error("refused at the time that it was told")
	}
}

// A call that is given back pushes nobody else out of a full set.
func TestReservationGivenBackEvictsNobody(t *testing.T) {
	t.Parallel()
	clock := manual{}
	local := NewLocal(ways, clock.clock)
	for i := range ways {
		call := budgetsFor(i, Rate{}, Rate{}, mustRate(t, "1/h"))
		local.takeAt(0, &call)
	}
	newcomer := budgetsFor(ways, Rate{}, Rate{}, mustRate(t, "1/h"))
	reservation, _ := local.Reserve(&newcomer)
	reservation.Settle(Answer{})
	if n := local.Evictions(Customer); n != 0 {
		t.Errorf("%d budgets were forgotten", n)
	}
}

// The store has counted a call that is still in flight here: it must not count twice.
func TestReservationsInFlightCountOnce(t *testing.T) {
	t.Parallel()
	clock := manual{}
	local := NewLocal(16, clock.clock)
	call := budgetsFor(1, Rate{}, Rate{}, mustRate(t, "1/m:5"))
	first, _ := local.Reserve(&call)
	second, _ := local.Reserve(&call)
	both := Answer{Allowed: true, Ahead: [limitCount]time.Duration{Customer: 2 * time.Minute}}
	first.Settle(both)
	for range 3 {
		if d := local.takeAt(0, &call); !d.Allowed {
			t.Fatalf("one of five calls was refused: %+v", d)
		}
	}
	second.Settle(both)
	if d := local.takeAt(0, &call); d.Allowed || d.RetryAfter != time.Minute {
		t.Errorf("the sixth: %+v", d)
	}
}

// An allowed call may have spent the last of a budget; a budget that the store does not count never
// refuses for it.
func TestAnswerRefusesOnlyWhatTheStoreRefused(t *testing.T) {
	t.Parallel()
	call := budgetsFor(1, Rate{}, mustRate(t, "1/h"), mustRate(t, "1/m"))
	spent := [limitCount]time.Duration{Caller: time.Hour, Customer: time.Minute}
	allowed, refused := Answer{Allowed: true, Ahead: spent}, Answer{Ahead: spent}
	if d := allowed.Decision(&call); d != (Decision{Allowed: true}) {
		t.Errorf("allowed: %+v", d)
	}
	if d := refused.Decision(&call); d != (Decision{Limit: Customer, RetryAfter: time.Minute}) {
		t.Errorf("refused: %+v", d)
	}
}

// What is spent stays within the rate, however many calls are in flight, for however long, and
// however they end.
func TestReservationsNeverExceedTheRate(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 2))
		clock := manual{}
		local := NewLocal(16, clock.clock)
		rate := mustRate(t, []string{"10/s:1", "100/s:5", "7/s:30"}[seed%3])
		call := budgetsFor(1, Rate{}, rate, Rate{})
		var held []*Reservation
		var admitted []time.Duration
		for range 400 {
			clock.now += time.Duration(random.Int64N(int64(rate.interval)))
			switch random.IntN(4) {
			case 0, 1:
				if reservation, decision := local.Reserve(&call); decision.Allowed {
					held = append(held, reservation)
				}
			case 2:
				if local.takeAt(clock.now, &call).Allowed {
					admitted = append(admitted, clock.now)
				}
			default:
				if len(held) == 0 {
					continue
				}
				i := random.IntN(len(held))
				reservation := held[i]
				held = append(held[:i], held[i+1:]...)
				spent := random.IntN(2) == 0
				if spent {
					admitted = append(admitted, clock.now)
				}
				reservation.Settle(Answer{Allowed: spent})
			}
		}
		if len(admitted) < 20 {
			t.Fatalf("seed %d: only %d were admitted", seed, len(admitted))
		}
		assertWithinRate(t, admitted, rate)
	}
}
