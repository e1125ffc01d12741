package ratelimit

import (
	"math/bits"
	"sync"
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
	sets   [][ways]entry // their number is a power of two, as is that of the shards
	shards []shard
}

// mostShards is how many calls can spend budgets of one limit at the same time. It is far more than
// a machine has processors, so two calls for different budgets seldom meet.
const mostShards = 256

// shard is what one lock guards: every set whose number ends in that of the shard.
type shard struct {
	mu        sync.Mutex
	latest    time.Duration // of all the times seen
	evictions uint64
	reserved  map[uint64]int32 // calls whose reservation is not settled, by hash
	_         [32]byte         // fills a cache line, which two processors then never share
}

// newTable makes room for at least capacity entries, rounded up to a power of two. The kernel
// backs the memory with its zero page until it is touched.
func newTable(capacity int) table {
	sets := max(1, (capacity+ways-1)/ways)
	sets = 1 << bits.Len(uint(sets-1))
	return table{sets: make([][ways]entry, sets), shards: make([]shard, min(sets, mostShards))}
}

// shardOf returns the shard that guards hash's set.
func (t *table) shardOf(hash uint64) *shard { return &t.shards[hash%uint64(len(t.shards))] }

// find returns the entry of hash, or the one that hash would evict: the budget of its set that is
// nearest to rest, or at rest if there is one. The shard must be locked.
func (t *table) find(hash uint64) *entry {
	set := &t.sets[hash%uint64(len(t.sets))]
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

// evictions is how many budgets were forgotten while still in use.
func (t *table) evictions() uint64 {
	var sum uint64
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		sum += s.evictions
		s.mu.Unlock()
	}
	return sum
}

// advance returns the time to decide by. Two calls may read the clock in one order and get here in
// the other: time then stands still for the later one. The lock must be held.
func (s *shard) advance(now time.Duration) time.Duration {
	s.latest = max(s.latest, now)
	return s.latest
}

// store writes the budget of hash to the entry that find returned for it. The lock must be held.
func (s *shard) store(e *entry, hash uint64, tat time.Duration) {
	if e.hash != hash && e.tat > s.latest {
		s.evictions++
	}
	*e = entry{hash: hash, tat: tat}
}

// reserve adds n to the reservations of hash. The lock must be held.
func (s *shard) reserve(hash uint64, n int32) {
	if s.reserved == nil {
		s.reserved = make(map[uint64]int32)
	}
	if s.reserved[hash] += n; s.reserved[hash] == 0 {
		delete(s.reserved, hash)
	}
}
