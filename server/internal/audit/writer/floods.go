package writer

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

// maxFloods bounds how many kinds of call are told apart at a time. Those past
// it are counted together under the caller "*".
const maxFloods = 256

// floodKey is what calls must have in common to be counted together.
type floodKey struct {
	caller string
	event  audit.Event
	reason string
}

// flood is the calls of one kind in one second.
type flood struct {
	second      int64
	first, last time.Time // of the counted ones
	outcome     string
	count       uint64
}

// floods keeps refusals and verifications from filling the disk: of each kind
// the first in a second gets its own record, the others are counted.
type floods struct {
	mu    sync.Mutex
	kinds map[floodKey]*flood
	due   []audit.Record // counts of seconds that ended before they were flushed
}

func newFloods() *floods { return &floods{kinds: map[floodKey]*flood{}} }

// admit reports whether r gets its own record; otherwise it is counted. With
// writable false it is counted in any case, and goes on being counted in the
// same record for as long as that lasts.
func (f *floods) admit(now time.Time, r *audit.Record, writable bool) bool {
	key := floodKey{r.Caller, r.Event, r.Reason}
	f.mu.Lock()
	defer f.mu.Unlock()
	k := f.kinds[key]
	if k == nil {
		if len(f.kinds) >= maxFloods {
			key.caller = "*"
			writable = false
			k = f.kinds[key]
		}
		if k == nil {
			k = &flood{second: -1 << 62}
			f.kinds[key] = k
		}
	}
	if second := now.Unix(); writable && k.second != second {
		f.settle(key, k)
		k.second = second
		return true
	}
	if k.count == 0 {
		k.first, k.outcome = now, r.Outcome
	}
	k.count++
	k.last = now
	return false
}

// settle moves what was counted of a kind to the records that are due.
func (f *floods) settle(key floodKey, k *flood) {
	if k.count == 0 {
		return
	}
	f.due = append(f.due, audit.Record{
		Time: k.first, Event: audit.EventRefused, Outcome: k.outcome, Reason: key.reason, Caller: key.caller,
		Duration: k.last.Sub(k.first), Summarized: key.event, Count: k.count,
	})
	k.count = 0
}

// flush returns the counts of the seconds that are over, and forgets kinds
// that have none, in the order in which they began.
func (f *floods) flush(now time.Time) []audit.Record {
	f.mu.Lock()
	defer f.mu.Unlock()
	second := now.Unix()
	for key, k := range f.kinds {
		if k.second == second {
			continue
		}
		f.settle(key, k)
		delete(f.kinds, key)
	}
	due := f.due
	f.due = nil
	slices.SortFunc(due, func(a, b audit.Record) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Caller, b.Caller), cmp.Compare(a.Reason, b.Reason))
	})
	return due
}
