package ratelimit

import (
	"math/bits"
	"time"
)

// ways is the number of entries in a set.
const ways = 16

// entry is one budget: the hash of its key, 0 if the entry is unused, and its TAT. A budget whose
// TAT is past is at rest, which is the same as having none.
type entry struct {
	hash uint64
	tat  time.Duration
}

// tatOf returns the TAT of hash's budget, at most latest, if the entry holds it. Otherwise that
// budget is at rest.
func (e *entry) tatOf(hash uint64, latest time.Duration) time.Duration {
	if e.hash != hash {
		return 0
	}
	e.tat = min(e.tat, latest)
	return e.tat
}

// table is a set-associative store for the budgets of one limit. Its size is fixed, it holds no
// pointers for the garbage collector to follow, and nothing needs cleaning up: an entry at rest
// can be reused as it stands.
type table struct {
	sets      [][ways]entry
	mask      uint64 // number of sets, a power of two, less 1
	evictions uint64
	reserved  map[uint64]int32 // calls whose reservation is not settled, by hash
}

// newTable makes room for at least capacity entries, rounded up to a power of two. The kernel
// backs the memory with its zero page until it is touched.
func newTable(capacity int) table {
	sets := max(1, (capacity+ways-1)/ways)
	mask := uint64(1)<<bits.Len(uint(sets-1)) - 1
	return table{sets: make([][ways]entry, mask+1), mask: mask, reserved: make(map[uint64]int32)}
}

// find returns the entry of hash, or the one that hash would evict: the budget of its set that is
// nearest to rest, or at rest if there is one.
func (t *table) find(hash uint64) *entry {
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

// store writes the budget of hash to the entry that find returned for it.
func (t *table) store(e *entry, hash uint64, tat, now time.Duration) {
	if e.hash != hash && e.tat > now {
		t.evictions++
	}
	*e = entry{hash: hash, tat: tat}
}
