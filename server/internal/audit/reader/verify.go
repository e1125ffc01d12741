package reader

import (
	"bytes"
	"context"
	"errors"
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
	FaultUnverifiable FaultKind = "not verifiable" // no key that was given is the record's
)

// Fault is the first place where a chain is wrong. File and Line are where it
// was noticed; Line is 0 at the end of the files.
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
	return fmt.Sprintf("%s: %s line %d: %s", f.Kind, f.File, f.Line, f.Detail)
}

// VerifyOptions is what Verify checks against. The zero value knows no key, so
// that nothing verifies.
type VerifyOptions struct {
	Keys              []*audit.Key
	Heads             []audit.Head // each must be found
	From              *audit.Head  // what the first record follows; nil: it must be number 1
	AllowUnverifiable bool         // go on over records under keys that are not known
	Progress          Progress
}

// Report is what Verify found up to the first fault.
type Report struct {
	Records      uint64     // before the fault
	Unverifiable uint64     // of them, those under keys that are not known
	Chains       uint64     // that begin afresh, after one another
	First, Last  string     // earliest and latest time in them
	Head         audit.Head // of the last record: --from-head for what follows it
	Fault        *Fault     // nil: all of it is whole
}

// String says in a line or two what Verify found.
func (r *Report) String() string {
	var b bytes.Buffer
	if r.Records > 0 {
		_, _ = fmt.Fprintf(&b, "%d records whole, from %s to %s, in %d chain(s); head %s",
			r.Records-r.Unverifiable, r.First, r.Last, r.Chains, r.Head)
		if r.Unverifiable > 0 {
			_, _ = fmt.Fprintf(&b, "; %d records not verifiable: their key is not known", r.Unverifiable)
		}
	}
	if r.Fault != nil {
		if b.Len() > 0 {
			_ = b.WriteByte('\n')
		}
		_, _ = b.WriteString(r.Fault.String())
	}
	return b.String()
}

// note keeps the earliest and the latest time: calls that ran together are not
// written in the order in which they came in.
func (r *Report) note(at []byte) {
	if r.First == "" || string(at) < r.First {
		r.First = string(at)
	}
	if string(at) > r.Last {
		r.Last = string(at)
	}
}

// verifier holds where the chain stands.
type verifier struct {
	o       VerifyOptions
	report  Report
	linkers map[string]*audit.Linker // by key_id
	heads   map[audit.Head]struct{}  // not found yet
	line    audit.Line
	keyID   []byte
	pod     []byte
	started []byte // time of the last chain.start
	gap     uint64 // after a fault of kind missing: the number that was due
}

var errFault = errors.New("fault")

// Verify reads records in order and reports whether they are one whole chain,
// or several after one another. It stops at the first fault, which is no error:
// an error is a file that cannot be read, or the end of ctx.
func Verify(ctx context.Context, sources []Source, o VerifyOptions) (*Report, error) {
	v := &verifier{o: o, linkers: map[string]*audit.Linker{}, heads: map[audit.Head]struct{}{}}
	for _, k := range o.Keys {
		v.linkers[k.ID()] = audit.NewLinker(k)
	}
	for _, h := range o.Heads {
		v.heads[h] = struct{}{}
	}
	if o.From != nil {
		v.report.Head = *o.From
		delete(v.heads, *o.From)
	}
	s := &scanner{progress: o.Progress}
	err := s.scan(ctx, sources, v.visit)
	if err != nil && !errors.Is(err, errFault) {
		return nil, err
	}
	if v.report.Fault == nil {
		v.report.Fault = v.atEnd()
	}
	return &v.report, nil
}

// atEnd finds what no record shows.
func (v *verifier) atEnd() *Fault {
	if v.report.Records == 0 {
		return &Fault{Kind: FaultMissing, Detail: "there is no record"}
	}
	for h := range v.heads {
		return &Fault{Kind: FaultTailCut, Detail: fmt.Sprintf(
			"head %s is not here; the last record is %d", h, v.report.Head.Seq)}
	}
	return nil
}

func (v *verifier) visit(s scanned) error {
	if v.gap != 0 {
		return v.seek(s)
	}
	kind, detail := v.check(s)
	if kind == "" {
		v.accept()
		return nil
	}
	v.report.Fault = &Fault{Kind: kind, File: s.source, Line: s.number, Detail: detail}
	if kind == FaultMissing && v.report.Records > 0 {
		v.gap = v.report.Head.Seq + 1
		return nil
	}
	return errFault
}

// seek looks behind a gap for the record that is missing there: then it is not
// gone, but out of order.
func (v *verifier) seek(s scanned) error {
	if v.line.Parse(s.text) == nil && v.line.Seq == v.gap {
		v.report.Fault.Kind = FaultReordered
		v.report.Fault.Detail += fmt.Sprintf("; record %d stands in %s line %d", v.gap, s.source, s.number)
		return errFault
	}
	return nil
}

// check compares a record with what must come next.
func (v *verifier) check(s scanned) (FaultKind, string) {
	l := &v.line
	switch err := l.Parse(s.text); {
	case s.torn:
		return FaultTorn, "the file ends in the middle of a record; when the log was killed, serve cuts that off at its next start"
	case s.long:
		return FaultEdited, audit.ErrTooLong.Error()
	case err != nil:
		return FaultEdited, err.Error()
	}
	if kind, detail := v.place(l); kind != "" {
		return kind, detail
	}
	id := string(l.Get("key_id"))
	linker := v.linkers[id]
	if linker == nil {
		if !v.o.AllowUnverifiable {
			return FaultUnverifiable, fmt.Sprintf("record %d is under key %s, which is not in the key file", l.Seq, id)
		}
		v.report.Unverifiable++
		return "", ""
	}
	if !l.Follows(v.report.Head, linker) {
		return FaultEdited, fmt.Sprintf("record %d is not what was written after record %d", l.Seq, v.report.Head.Seq)
	}
	return "", ""
}

// place checks the number of a record and whose it is.
func (v *verifier) place(l *audit.Line) (FaultKind, string) {
	begins := string(l.Get("event")) == string(audit.EventStart)
	last := v.report.Head.Seq
	switch {
	case begins && l.Seq == 1 && last != 0:
		return v.afresh(l)
	case l.Seq > last+1 && last == 0:
		return FaultMissing, fmt.Sprintf("the first record is number %d; for an earlier file that is gone give --from-head", l.Seq)
	case l.Seq > last+1:
		return FaultMissing, fmt.Sprintf("record %d follows record %d", l.Seq, last)
	case l.Seq <= last:
		return FaultReordered, fmt.Sprintf("record %d stands after record %d", l.Seq, last)
	case v.report.Records > 0 && !begins && !v.sameWriter(l):
		return FaultSpliced, fmt.Sprintf("record %d is of another instance or key", l.Seq)
	}
	return "", ""
}

// sameWriter reports whether a record is of the process that wrote the last
// chain.start.
func (v *verifier) sameWriter(l *audit.Line) bool {
	return bytes.Equal(l.Get("instance"), v.pod) && bytes.Equal(l.Get("key_id"), v.keyID)
}

// afresh checks the first record of a further chain: a process that knew
// nothing of the records before, as after each start on standard output.
func (v *verifier) afresh(l *audit.Line) (FaultKind, string) {
	switch {
	case v.report.Records == 0:
		return FaultMissing, "--from-head is given, but a new chain begins here"
	case !bytes.Equal(l.Get("instance"), v.pod):
		return FaultSpliced, "a chain of another instance begins; verify each instance by itself"
	case bytes.Compare(l.Get("time"), v.started) <= 0:
		return FaultReordered, "a chain begins that is not later than the one before it"
	}
	v.report.Head = audit.Head{}
	return "", ""
}

// accept makes the line the last whole record.
func (v *verifier) accept() {
	l, r := &v.line, &v.report
	if l.Seq == 1 || r.Records == 0 {
		r.Chains++
	}
	r.Records++
	r.Head = l.Head
	if len(v.heads) > 0 {
		delete(v.heads, r.Head)
	}
	begins := string(l.Get("event")) == string(audit.EventStart)
	if begins || r.Records == 1 {
		v.pod = append(v.pod[:0], l.Get("instance")...)
		v.keyID = append(v.keyID[:0], l.Get("key_id")...)
		v.started = append(v.started[:0], l.Get("time")...)
	}
	r.note(l.Get("time"))
}
