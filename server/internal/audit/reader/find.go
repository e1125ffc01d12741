package reader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

// Query says which records to find: those that match everything that is given. Find refuses an
// empty one.
type Query struct {
	// Values holds the value to search for by the name of its field, which must be searchable (see
	// audit.Field); for a pseudonym, the identifier behind it.
	Values map[string]string
	Since  time.Time
	Until  time.Time // of the first record that does not match any more; zero: none
}

// Output is how Find prints records.
type Output string

// The outputs; the zero value is OutputJSON.
const (
	OutputJSON  Output = "json"  // the lines as they stand in the files
	OutputTable Output = "table" // one line each, for people
)

// FindOptions is how Find searches and prints.
type FindOptions struct {
	Keys     []*audit.Key // all that pseudonyms may have been made with
	Output   Output
	Progress Progress
	Summary  *Summary // counts what is found; nil: nobody wants to know

	// Of a table.
	Width int            // of the terminal; 0: not bounded
	Zone  *time.Location // of times; nil: UTC
	Live  bool           // rows come while people look, until ctx ends: none waits for the others
}

// Found is what a search went through.
type Found struct {
	Records uint64 // read
	Matches uint64 // printed
	Others  uint64 // lines that are plainly no records
	Damaged uint64 // lines that are records no more
	Unknown uint64 // records under unknown keys, in which a person cannot be searched for
}

// wanted is a field's value, as it stands in a matching record.
type wanted struct{ field, value string }

type finder struct {
	values []wanted
	since  []byte
	until  []byte              // empty: no bound
	people map[string][]wanted // pseudonyms, by the ID of their key; nil: nobody is searched for
	print  func(*audit.Line) error
	flush  func() error // prints what waits
	sum    *Summary
	found  Found
	line   audit.Line
}

// Find prints the records that match q to w, in the order of the sources. It does not verify them.
// When it is live, the end of ctx is no error.
func Find(ctx context.Context, sources []Source, q Query, o FindOptions, w io.Writer) (Found, error) {
	f := &finder{sum: o.Summary}
	if err := f.prepare(q, o.Keys); err != nil {
		return f.found, err
	}
	var err error
	if f.print, f.flush, err = printer(&o, w); err != nil {
		return f.found, err
	}
	s := &scanner{progress: o.Progress}
	err = s.scan(ctx, sources, f.visit)
	if o.Live && errors.Is(err, context.Canceled) {
		err = nil
	}
	return f.found, errors.Join(err, f.flush())
}

// prepare turns a query into what records must hold.
func (f *finder) prepare(q Query, keys []*audit.Key) error {
	if len(q.Values) == 0 && q.Since.IsZero() && q.Until.IsZero() {
		return errors.New("nothing to find: the query is empty")
	}
	if !q.Since.IsZero() {
		f.since = audit.AppendTime(nil, q.Since)
	}
	if !q.Until.IsZero() {
		f.until = audit.AppendTime(nil, q.Until)
	}
	fields := audit.Fields()
	for name, value := range q.Values {
		i := slices.IndexFunc(fields, func(f audit.Field) bool { return f.Name == name && f.Search.By != "" })
		switch {
		case i < 0:
			return fmt.Errorf("%s cannot be searched for", name)
		case fields[i].Search.Pseudonym == "":
			f.values = append(f.values, wanted{name, value})
		case len(keys) == 0:
			return errors.New("a person can be found only with the audit keys: records hold only keyed pseudonyms")
		default:
			f.addPerson(&fields[i], value, keys)
		}
	}
	return nil
}

// addPerson searches for an identifier under all keys.
func (f *finder) addPerson(field *audit.Field, value string, keys []*audit.Key) {
	if f.people == nil {
		f.people = map[string][]wanted{}
	}
	for _, k := range keys {
		f.people[k.ID()] = append(f.people[k.ID()], wanted{field.Name, k.Pseudonym(field.Search.Pseudonym, value)})
	}
}

func (f *finder) visit(s scanned) error {
	if s.foreign {
		f.found.Others++
		return nil
	}
	if readable := !s.long && f.line.Parse(s.text) == nil; !readable {
		f.found.Damaged++
		return nil
	}
	f.found.Records++
	if !f.matches(&f.line) {
		return nil
	}
	f.found.Matches++
	if f.sum != nil {
		f.sum.Add(&f.line)
	}
	return f.print(&f.line)
}

func (f *finder) matches(l *audit.Line) bool {
	if f.people != nil {
		person, known := f.people[string(l.Get("key_id"))]
		if !known {
			f.found.Unknown++
			return false
		}
		if !hasAll(l, person) {
			return false
		}
	}
	at := l.Get("time")
	return hasAll(l, f.values) && bytes.Compare(at, f.since) >= 0 && (f.until == nil || bytes.Compare(at, f.until) < 0)
}

func hasAll(l *audit.Line, all []wanted) bool {
	for _, w := range all {
		if !l.Is(w.field, w.value) {
			return false
		}
	}
	return true
}

// printer returns what prints a record to w, and what prints those that wait.
func printer(o *FindOptions, w io.Writer) (func(*audit.Line) error, func() error, error) {
	switch o.Output {
	case OutputJSON, "":
		return func(l *audit.Line) error {
			_, err := fmt.Fprintf(w, "%s\n", l.Raw)
			return err
		}, func() error { return nil }, nil
	case OutputTable:
		t := newTable(w, o)
		return t.add, t.flush, nil
	default:
		return nil, nil, fmt.Errorf("output %q: want json or table", string(o.Output))
	}
}
