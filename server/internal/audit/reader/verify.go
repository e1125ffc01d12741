package reader

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

// VerifyOptions is what Verify checks against. Without keys nothing verifies.
type VerifyOptions struct {
	Keys              []*audit.Key
	Heads             []audit.Head // each must be found
	From              *audit.Head  // what the first record follows; nil: it must be number 1
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
	gap     uint64 // after a fault of kind missing: the number that was due

	// Of the last chain.start.
	keyID, instance, started []byte
}

var errFault = errors.New("fault")

// Verify reads records in order and reports whether they are one whole chain, or several after one
// another. It stops at the first fault, which is no error: an error is a file that cannot be read,
// or the end of ctx, and comes with the report of what was whole up to there.
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
	for h := range v.heads {
		return &Fault{Kind: FaultTailCut, Detail: fmt.Sprintf(
			"head %s is not here; the last record is %d", h, v.report.Head.Seq)}
	}
	return nil
}

func (v *verifier) visit(s scanned) error {
	if s.foreign {
		v.report.Others++
		return nil
	}
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

// seek looks behind a gap for the record that is missing there: if it is found, it is not gone but
// out of order.
func (v *verifier) seek(s scanned) error {
	if v.line.Parse(s.text) == nil && v.line.Seq == v.gap {
		v.report.Fault.Kind = FaultReordered
		v.report.Fault.Detail += fmt.Sprintf("; record %d stands in %s line %d", v.gap, s.source, s.number)
		return errFault
	}
	return nil
}

// check compares a record with what must come next. It returns no kind for one that is right.
func (v *verifier) check(s scanned) (FaultKind, string) {
	l := &v.line
	switch err := l.Parse(s.text); {
	case s.torn:
		return FaultTorn, "the file ends in the middle of a record; " +
			"when the log was killed, serve cuts that off at its next start"
	case s.long:
		return FaultEdited, audit.ErrTooLong.Error()
	case err != nil && len(s.text) < len(s.line): // says more of the whole line
		return FaultEdited, l.Parse(s.line).Error()
	case err != nil:
		return FaultEdited, err.Error()
	case v.o.TrustFirst && v.report.Records == 0 && l.Seq > 1:
		return "", ""
	}
	if kind, detail := v.checkPlace(l); kind != "" {
		return kind, detail
	}
	return v.checkLink(l)
}

func (v *verifier) checkLink(l *audit.Line) (FaultKind, string) {
	id := string(l.Get("key_id"))
	linker := v.linkers[id]
	switch {
	case linker == nil && v.o.AllowUnverifiable:
		v.report.Unverifiable++
		return "", ""
	case linker == nil:
		return FaultUnverifiable, fmt.Sprintf("record %d is under key %s, which is not in the key file", l.Seq, id)
	case !l.Follows(v.report.Head, linker):
		return FaultEdited, fmt.Sprintf("record %d is not what was written after record %d", l.Seq, v.report.Head.Seq)
	default:
		return "", ""
	}
}

// checkPlace checks the number of a record and who wrote it.
func (v *verifier) checkPlace(l *audit.Line) (FaultKind, string) {
	last := v.report.Head.Seq
	switch {
	case begins(l) && l.Seq == 1 && last != 0:
		return v.checkNewChain(l)
	case l.Seq > last+1 && last == 0:
		return FaultMissing, fmt.Sprintf(
			"the first record is number %d; when earlier files are gone, give the head that it follows", l.Seq)
	case l.Seq > last+1:
		return FaultMissing, fmt.Sprintf("record %d follows record %d", l.Seq, last)
	case l.Seq <= last:
		return FaultReordered, fmt.Sprintf("record %d stands after record %d", l.Seq, last)
	case v.report.Records > 0 && !begins(l) && !v.sameWriter(l):
		return FaultSpliced, fmt.Sprintf("record %d is of another instance or key", l.Seq)
	}
	return "", ""
}

func begins(l *audit.Line) bool { return string(l.Get("event")) == string(audit.EventStart) }

// sameWriter reports whether a record is of the process that wrote the last chain.start.
func (v *verifier) sameWriter(l *audit.Line) bool {
	return bytes.Equal(l.Get("instance"), v.instance) && bytes.Equal(l.Get("key_id"), v.keyID)
}

// checkNewChain checks the first record of a further chain, of a process that could not know the
// records before it, as after each start on standard output.
func (v *verifier) checkNewChain(l *audit.Line) (FaultKind, string) {
	switch {
	case v.report.Records == 0:
		return FaultMissing, "a new chain begins here, although the records should follow a head that was given"
	case !bytes.Equal(l.Get("instance"), v.instance):
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
	if begins(l) || r.Records == 1 {
		v.instance = append(v.instance[:0], l.Get("instance")...)
		v.keyID = append(v.keyID[:0], l.Get("key_id")...)
		v.started = append(v.started[:0], l.Get("time")...)
	}
	r.note(l.Get("time"))
}
