package reader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

// VerifyOptions is what Verify checks against. Without keys nothing verifies.
type VerifyOptions struct {
	Keys              []*audit.Key
	Heads             []audit.Head // each must be found, but for those up to From
	From              *audit.Head  // what the first record must follow; nil: it must be number 1
	TrustFirst        bool         // accept the first record as it stands if it is not number 1
	AllowUnverifiable bool         // accept records under unknown keys
	Progress          Progress
}

// verifier holds where the chain stands.
type verifier struct {
	o       VerifyOptions
	report  Report
	linkers map[string]*audit.Linker // by the ID of their key
	heads   map[audit.Head]struct{}  // not found yet
	line    audit.Line
	first   []byte // the earliest and the latest time
	last    []byte
	removed *Fault // records that are gone right behind VerifyOptions.From: the others are verified all the same
	gap     uint64 // after a fault of kind missing: the number that was due

	// Of the last chain.start.
	keyID, instance, started []byte
}

var errFault = errors.New("fault")

// Verify reads records in order and reports whether they are one whole chain, or several after one
// another. It stops at the first fault, which is no error: an error is a file that cannot be read,
// or the end of ctx, and comes with the report of what was whole up to there.
func Verify(ctx context.Context, sources []Source, o VerifyOptions) (*Report, error) {
	v := &verifier{o: o, linkers: linkersOf(o.Keys), heads: map[audit.Head]struct{}{}}
	for _, h := range o.Heads {
		v.heads[h] = struct{}{}
	}
	if o.From != nil {
		v.report.Head = *o.From
		maps.DeleteFunc(v.heads, func(h audit.Head, _ struct{}) bool { return h.Seq <= o.From.Seq })
	}
	due := len(v.heads)
	s := &scanner{progress: o.Progress}
	err := s.scanJudged(ctx, sources, o.Keys, v.visit)
	v.report.First, v.report.Last = string(v.first), string(v.last)
	v.report.Heads = due - len(v.heads)
	if err != nil && !errors.Is(err, errFault) {
		return &v.report, err
	}
	if v.report.Fault == nil {
		v.report.Fault = v.atEnd()
	}
	return &v.report, nil
}

// atEnd finds the faults that no record shows.
func (v *verifier) atEnd() *Fault {
	if v.report.Records == 0 {
		return &Fault{Kind: FaultMissing, Detail: fmt.Sprintf("there is no record among %d lines", v.report.Others)}
	}
	if v.removed != nil {
		return v.removed
	}
	for h := range v.heads {
		return &Fault{Kind: FaultTailCut, Detail: fmt.Sprintf(
			"head %s is not here; the last record is %d", h, v.report.Head.Seq)}
	}
	return nil
}

func (v *verifier) visit(j *judged) error {
	if j.foreign {
		v.report.Others++
		return nil
	}
	if v.gap != 0 {
		return v.seek(j)
	}
	kind, detail := v.check(j)
	if kind == "" {
		v.accept(&j.record)
		return nil
	}
	v.report.Fault = &Fault{Kind: kind, File: j.source, Line: j.number, Detail: detail}
	if kind == FaultMissing && v.report.Records > 0 {
		v.gap = v.report.Head.Seq + 1
		return nil
	}
	return errFault
}

// seek looks behind a gap for the record that is missing there: if it is found, it is not gone but
// out of order.
func (v *verifier) seek(j *judged) error {
	if j.err == nil && j.Seq == v.gap {
		v.report.Fault.Kind = FaultReordered
		v.report.Fault.Detail += fmt.Sprintf("; record %d stands in %s line %d", v.gap, oneLine(j.source), j.number)
		return errFault
	}
	return nil
}

// check compares a record with what must come next. It returns no kind for one that is right.
func (v *verifier) check(j *judged) (FaultKind, string) {
	switch {
	case j.torn:
		return FaultTorn, "the file ends in the middle of a record; " +
			"when the log was killed, serve cuts that off at its next start"
	case j.long:
		return FaultEdited, audit.ErrTooLong.Error()
	case j.err != nil:
		return FaultEdited, j.err.Error()
	case v.o.TrustFirst && v.report.Records == 0 && j.Seq > 1:
		return "", ""
	case v.o.From != nil && v.report.Records == 0 && j.Seq > v.o.From.Seq+1:
		v.report.Gone = j.Seq - v.o.From.Seq - 1
		v.removed = &Fault{Kind: FaultMissing, File: j.source, Line: j.number, Detail: fmt.Sprintf(
			"record %d does not follow the head that was given: %d between them gone, all from here on whole",
			j.Seq, v.report.Gone)}
		return v.checkKey(j)
	}
	if kind, detail := v.checkPlace(&j.record); kind != "" {
		return kind, detail
	}
	return v.checkLink(j)
}

// checkKey checks that the record's key is known, as far as it must be.
func (v *verifier) checkKey(j *judged) (FaultKind, string) {
	switch {
	case v.linkers[string(j.keyID)] != nil:
		return "", ""
	case v.o.AllowUnverifiable:
		v.report.Unverifiable++
		return "", ""
	default:
		return FaultUnverifiable, fmt.Sprintf("record %d is under key %s, which is not in the key file", j.Seq, j.keyID)
	}
}

func (v *verifier) checkLink(j *judged) (FaultKind, string) {
	linker := v.linkers[string(j.keyID)]
	switch {
	case linker == nil:
		return v.checkKey(j)
	case !v.follows(j, linker):
		return FaultEdited, fmt.Sprintf("record %d is not what was written after record %d", j.Seq, v.report.Head.Seq)
	default:
		return "", ""
	}
}

// follows reports whether the line is what was written after the last whole record. Whoever judged it
// has compared it with the line before it, which is that record unless another chain begins.
func (v *verifier) follows(j *judged, linker *audit.Linker) bool {
	if j.compared && j.before == v.report.Head.MAC {
		return j.follows
	}
	return v.line.Parse(j.text) == nil && v.line.Follows(v.report.Head.MAC, linker)
}

// checkPlace checks the number of a record and who wrote it.
func (v *verifier) checkPlace(l *record) (FaultKind, string) {
	last := v.report.Head.Seq
	switch {
	case l.begins && l.Seq == 1 && last != 0:
		return v.checkNewChain(l)
	case l.Seq > last+1 && last == 0:
		return FaultMissing, fmt.Sprintf(
			"the first record is number %d; when earlier files are gone, give the head that it follows", l.Seq)
	case l.Seq > last+1:
		return FaultMissing, fmt.Sprintf("record %d follows record %d", l.Seq, last)
	case l.Seq <= last:
		return FaultReordered, fmt.Sprintf("record %d stands after record %d", l.Seq, last)
	case v.report.Records > 0 && !l.begins && !v.sameWriter(l):
		return FaultSpliced, fmt.Sprintf("record %d is of another instance or key", l.Seq)
	}
	return "", ""
}

// sameWriter reports whether a record is of the process that wrote the last chain.start.
func (v *verifier) sameWriter(l *record) bool {
	return bytes.Equal(l.instance, v.instance) && bytes.Equal(l.keyID, v.keyID)
}

// checkNewChain checks the first record of a further chain, of a process that could not know the
// records before it, as after each start on standard output.
func (v *verifier) checkNewChain(l *record) (FaultKind, string) {
	switch {
	case v.report.Records == 0:
		return FaultMissing, "a new chain begins here, although the records should follow a head that was given"
	case !bytes.Equal(l.instance, v.instance):
		return FaultSpliced, "a chain of another instance begins; verify each instance by itself"
	case bytes.Compare(l.time, v.started) <= 0:
		return FaultReordered, "a chain begins that is not later than the one before it"
	}
	v.report.Head = audit.Head{}
	return "", ""
}

// accept makes the line the last whole record.
func (v *verifier) accept(l *record) {
	r := &v.report
	if l.Seq == 1 || r.Records == 0 {
		r.Chains++
	}
	if r.Records == 0 {
		r.From = l.Seq
	}
	r.Records++
	r.Head = l.Head
	if len(v.heads) > 0 {
		delete(v.heads, r.Head)
	}
	if l.begins || r.Records == 1 {
		v.instance = append(v.instance[:0], l.instance...)
		v.keyID = append(v.keyID[:0], l.keyID...)
		v.started = append(v.started[:0], l.time...)
	}
	if v.first == nil || bytes.Compare(l.time, v.first) < 0 { // calls that ran together end in any order
		v.first = append(v.first[:0], l.time...)
	}
	if bytes.Compare(l.time, v.last) > 0 {
		v.last = append(v.last[:0], l.time...)
	}
}
