package ratelimit

import (
	"math/bits"
	"time"
)

// ways is how many entries share one place of the hash.
const ways = 16

// entry is one budget: who (0 is nobody) and its theoretical arrival time. One
// that lies in the past is a budget at rest, which is the same as none.
type entry struct {
	hash uint64
	tat  time.Duration
}

// owed is the theoretical arrival time of hash, if the entry is its own. One
// beyond furthest is brought back to it.
func (e *entry) owed(hash uint64, furthest time.Duration) time.Duration {
	if e.hash != hash {
		return 0
	}
	e.tat = min(e.tat, furthest)
	return e.tat
}

// table is a set-associative store of budgets, of fixed size, without pointers
// for the garbage collector to follow and without anything to clean up: an entry
// at rest is free as it stands.
type table struct {
	sets      [][ways]entry
	mask      uint64 // number of sets, a power of two, less 1
	evictions uint64
}

// newTable makes room for at least capacity entries, rounded up to a power of
// two. The memory is the kernel's zero page until it is touched.
func newTable(capacity int) table {
	sets := max(1, (capacity+ways-1)/ways)
	mask := uint64(1)<<bits.Len(uint(sets-1)) - 1
	return table{sets: make([][ways]entry, mask+1), mask: mask}
}

// place returns the entry of hash, or the one that hash would displace: of its
// set the nearest to rest, which is a free one while there is any.
func (t *table) place(hash uint64) *entry {
	set := &t.sets[hash&t.mask]
	nearest := &set[0]
	for i := range set {
		e := &set[i]
		if e.hash == hash {
			return e
		}
		if e.tat < nearest.tat {
			nearest = e
		}
	}
	return nearest
}

// store writes the budget of hash into the entry that place returned for it.
func (t *table) store(e *entry, hash uint64, tat, now time.Duration) {
	if e.hash != hash && e.tat > now {
		t.evictions++
	}
	*e = entry{hash: hash, tat: tat}
}
