package reader

import (
	"bytes"
	"fmt"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

// FaultKind says what is wrong with a chain.
type FaultKind string

// The kinds of faults.
const (
	FaultEdited       FaultKind = "edited"         // a record's bytes are not those that were written
	FaultMissing      FaultKind = "missing"        // records are gone from before this one
	FaultReordered    FaultKind = "reordered"      // a record stands after a later one, or twice
	FaultSpliced      FaultKind = "spliced"        // a record of another log
	FaultTorn         FaultKind = "torn"           // a file ends in the middle of a record
	FaultTailCut      FaultKind = "tail cut"       // a head that was given is not there
	FaultUnverifiable FaultKind = "not verifiable" // none of the given keys is the record's
)

// Fault is the first place where a chain is wrong. File and Line are where it was noticed; Line is
// 0 at the end of the files.
type Fault struct {
	Kind   FaultKind
	File   string
	Line   int
	Detail string
}

func (f *Fault) String() string {
	if f.Line == 0 {
		return fmt.Sprintf("%s: at the end: %s", f.Kind, f.Detail)
	}
	return fmt.Sprintf("%s: %s line %d: %s", f.Kind, oneLine(f.File), f.Line, f.Detail)
}

// Report is what Verify found up to the first fault.
type Report struct {
	Records      uint64     // before the fault
	Unverifiable uint64     // of them, those under unknown keys
	Others       uint64     // lines among them that are plainly no records
	Chains       uint64     // that begin anew, one after another
	Heads        int        // of those that were given and are due, found
	From         uint64     // number of the first record
	Gone         uint64     // records that are gone between the head that was given and the first record
	First, Last  string     // earliest and latest time in them
	Head         audit.Head // of the last record: what the first record of a later file follows
	Fault        *Fault     // nil: everything is whole
}

// String says in a line or two what Verify found.
func (r *Report) String() string {
	var b bytes.Buffer
	if r.Records > 0 {
		_, _ = fmt.Fprintf(&b, "%d records whole, from %s to %s, in %d chain(s); head %s",
			r.Records-r.Unverifiable, r.First, r.Last, r.Chains, r.Head)
		if r.Heads > 0 {
			_, _ = fmt.Fprintf(&b, "; %d given heads found", r.Heads)
		}
		if r.Unverifiable > 0 {
			_, _ = fmt.Fprintf(&b, "; %d records not verifiable: their key is not known", r.Unverifiable)
		}
		if r.Others > 0 {
			_, _ = fmt.Fprintf(&b, "; %d lines are no records", r.Others)
		}
	}
	if r.Fault != nil {
		if b.Len() > 0 {
			_ = b.WriteByte('\n')
		}
		_, _ = b.WriteString(r.Fault.String())
	}
	if b.Len() == 0 {
		_, _ = b.WriteString("no record was read")
	}
	return b.String()
}
