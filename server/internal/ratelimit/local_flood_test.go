package ratelimit

import (
	"testing"
	"time"
)

// A flood of a million different customers evicts no budget of another limit, and takes no memory.
func TestLocalFloodOfCustomers(t *testing.T) {
	t.Parallel()
	local := newTestLocal(1 << 12)
	perHour, off := mustRate(t, "1/h"), Rate{}
	other := budgetsFor(-1, perHour, off, off)
	app := budgetsFor(-1, off, perHour, off)
	if !local.takeAt(0, &other).Allowed || !local.takeAt(0, &app).Allowed {
		t.Fatal("the first call was refused")
	}
	for i := range 1_000_000 {
		call := budgetsFor(i, off, off, perHour)
		if !local.takeAt(0, &call).Allowed {
			t.Fatalf("customer %d was refused for another's calls", i)
		}
	}
	if local.takeAt(0, &other).Allowed || local.takeAt(0, &app).Allowed {
		t.Error("the flood of customers gave others a fresh budget")
	}
	if entries := len(local.tables[Customer].sets) * ways; entries != 1<<12 {
		t.Errorf("the table has grown to %d entries", entries)
	}
	// Every set is full of budgets in use, so every later one was an eviction.
	if got, want := local.Evictions(Customer), uint64(1_000_000-1<<12); got != want {
		t.Errorf("%d evictions, want %d", got, want)
	}
	if n := local.Evictions(Global) + local.Evictions(Caller); n != 0 {
		t.Errorf("%d evictions of others", n)
	}
}

func TestLocalRemembersAThousandCallers(t *testing.T) {
	t.Parallel()
	local := newTestLocal(16)
	calls := make([]Budgets, 1000)
	for i := range calls {
		calls[i] = Budgets{Caller: {Key: customerKey(i), Rate: mustRate(t, "1/h")}}
		local.takeAt(0, &calls[i])
	}
	for i := range calls {
		if local.takeAt(0, &calls[i]).Allowed {
			t.Fatalf("caller %d was forgotten", i)
		}
	}
}

func TestLocalHasRoomForItsCapacity(t *testing.T) {
	t.Parallel()
	for capacity, room := range map[int]int{0: 16, 1: 16, 16: 16, 17: 32, 32: 32, 33: 64, 65: 128} {
		if got := len(newTestLocal(capacity).tables[Customer].sets) * ways; got != room {
			t.Errorf("capacity %d: room for %d, want %d", capacity, got, room)
		}
	}
}

// The price of a fresh budget: customers that have spent less never evict one that has spent more,
// however many there are.
func TestLocalFloodDoesNotFreeAnAbuser(t *testing.T) {
	t.Parallel()
	local := newTestLocal(ways) // one set: the worst place for the keys to meet
	rate := mustRate(t, "10/m:10")
	abuser := budgetsFor(0, Rate{}, Rate{}, rate)
	for range 10 {
		local.takeAt(0, &abuser)
	}
	for i := range 10_000 {
		call := budgetsFor(1+i, Rate{}, Rate{}, rate)
		local.takeAt(0, &call)
	}
	if local.takeAt(0, &abuser).Allowed {
		t.Error("10,000 single calls bought a fresh budget")
	}
	// The stated price: 16 others that spend a whole burst each evict it.
	for i := range ways {
		call := budgetsFor(-1-i, Rate{}, Rate{}, rate)
		for range 10 {
			local.takeAt(0, &call)
		}
	}
	if !local.takeAt(0, &abuser).Allowed {
		t.Error("the set holds more than its 16 entries")
	}
}

func TestLocalEntriesAtRestAreFree(t *testing.T) {
	t.Parallel()
	local := newTestLocal(ways)
	rate := mustRate(t, "1/s")
	for i := range 10 * ways {
		// One customer every tenth of a second, so ten at a time are not at rest.
		call := budgetsFor(i, Rate{}, Rate{}, rate)
		local.takeAt(time.Duration(i)*time.Second/10, &call)
	}
	if n := local.Evictions(Customer); n != 0 {
		t.Errorf("%d evictions while a third of the places were at rest", n)
	}
}

// What DefaultCapacity promises, for ten seconds.
func TestLocalDefaultCapacity(t *testing.T) {
	t.Parallel()
	local := newTestLocal(DefaultCapacity)
	call := budgetsFor(0, Rate{}, Rate{}, mustRate(t, "10/m:10"))
	for i := range 500_000 {
		call[Customer].Key = customerKey(i)
		local.takeAt(time.Duration(i)*time.Second/50_000, &call)
	}
	t.Logf("%d evictions", local.Evictions(Customer))
	if n := local.Evictions(Customer); n > 50 {
		t.Errorf("%d of 500,000 budgets in use were forgotten", n)
	}
}
