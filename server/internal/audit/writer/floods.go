package writer

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

// maxFloods bounds how many kinds of calls are told apart at a time. Further kinds are counted
// together under the caller "*".
const maxFloods = 256

// floodKey is what calls have in common that are counted together.
type floodKey struct {
	caller string
	event  audit.Event
	reason string
}

// flood is the calls of one kind in one second.
type flood struct {
	second      int64     // that had its own record
	first, last time.Time // of the counted ones
	auditID     string    // that the first counted one had, and all share
	outcome     string
	count       uint64
}

// floods keep refusals and verifications from filling the disk: the first call of a kind in a
// second has its own record, the others are counted.
type floods struct {
	mu    sync.Mutex
	kinds map[floodKey]*flood
	due   []audit.Record // counts of seconds that have ended
}

func newFloods() *floods { return &floods{kinds: map[floodKey]*flood{}} }

// admit reports whether r has its own record; otherwise it is counted, and gets the audit ID of the
// record that will count it. Unless writable, it is counted in any case, and so are further ones in
// the same count for as long as that lasts.
func (f *floods) admit(now time.Time, r *audit.Record, writable bool) bool {
	key := floodKey{r.Caller, r.Event, r.Reason}
	f.mu.Lock()
	defer f.mu.Unlock()
	k := f.kinds[key]
	if k == nil && len(f.kinds) >= maxFloods {
		key.caller = "*"
		writable = false
		k = f.kinds[key]
	}
	if k == nil {
		k = &flood{second: -1 << 62}
		f.kinds[key] = k
	}
	if second := now.Unix(); writable && k.second != second {
		f.end(key, k)
		k.second = second
		return true
	}
	if k.count == 0 {
		k.first, k.auditID, k.outcome = now, r.AuditID, r.Outcome
	}
	k.count++
	k.last, r.AuditID = now, k.auditID
	return false
}

// end makes a due record of what was counted of a kind.
func (f *floods) end(key floodKey, k *flood) {
	if k.count == 0 {
		return
	}
	f.due = append(f.due, audit.Record{
		Time: k.first, AuditID: k.auditID, Event: audit.EventRefused, Outcome: k.outcome, Reason: key.reason,
		Caller: key.caller, Duration: k.last.Sub(k.first), Summarized: key.event, Count: k.count,
	})
	k.count = 0
}

// collect returns the counts of the seconds that are over, in the order in which they began, and
// forgets their kinds.
func (f *floods) collect(now time.Time) []audit.Record {
	f.mu.Lock()
	defer f.mu.Unlock()
	second := now.Unix()
	for key, k := range f.kinds {
		if k.second == second {
			continue
		}
		f.end(key, k)
		delete(f.kinds, key)
	}
	due := f.due
	f.due = nil
	slices.SortFunc(due, func(a, b audit.Record) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Caller, b.Caller), cmp.Compare(a.Reason, b.Reason))
	})
	return due
}
