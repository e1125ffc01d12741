package reader

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
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
	people map[string][]wanted // pseudonyms, by the ID of their key; nil: nobody is searched for
	print  func(*audit.Line) error
	found  Found
	line   audit.Line
}

// Find prints the records that match q to w, in the order of the sources. It does not verify them.
func Find(ctx context.Context, sources []Source, q Query, o FindOptions, w io.Writer) (Found, error) {
	f := new(finder)
	if err := f.prepare(q, o.Keys); err != nil {
		return f.found, err
	}
	var err error
	if f.print, err = printer(o.Output, w); err != nil {
		return f.found, err
	}
	s := &scanner{progress: o.Progress}
	err = s.scan(ctx, sources, f.visit)
	return f.found, err
}

// prepare turns a query into what records must hold.
func (f *finder) prepare(q Query, keys []*audit.Key) error {
	if len(q.Values) == 0 && q.Since.IsZero() {
		return errors.New("nothing to find: the query is empty")
	}
	if !q.Since.IsZero() {
		f.since = audit.AppendTime(nil, q.Since)
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
	switch {
	case s.foreign:
		f.found.Others++
		return nil
	case s.long || f.line.Parse(s.text) != nil:
		f.found.Damaged++
		return nil
	}
	f.found.Records++
	if !f.matches(&f.line) {
		return nil
	}
	f.found.Matches++
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
	return hasAll(l, f.values) && bytes.Compare(l.Get("time"), f.since) >= 0
}

func hasAll(l *audit.Line, all []wanted) bool {
	for _, w := range all {
		if !l.Is(w.field, w.value) {
			return false
		}
	}
	return true
}

// printer returns what prints a record to w.
func printer(o Output, w io.Writer) (func(*audit.Line) error, error) {
	switch o {
	case OutputJSON, "":
		return func(l *audit.Line) error {
			_, err := fmt.Fprintf(w, "%s\n", l.Raw)
			return err
		}, nil
	case OutputTable:
		return tablePrinter(w)
	default:
		return nil, fmt.Errorf("output %q: want json or table", string(o))
	}
}

// tablePrinter prints the head of the table, and returns what prints a row.
func tablePrinter(w io.Writer) (func(*audit.Line) error, error) {
	columns := slices.DeleteFunc(audit.Fields(), func(f audit.Field) bool { return f.Column.Place == 0 })
	slices.SortFunc(columns, func(a, b audit.Field) int { return cmp.Compare(a.Column.Place, b.Column.Place) })
	row := func(value func(name string) string) error {
		cells := make([]string, len(columns))
		for i, c := range columns {
			width := -c.Column.Width // to the left
			if c.IsNumber() {
				width = c.Column.Width
			}
			cells[i] = fmt.Sprintf("%*s", width, value(c.Name))
		}
		_, err := fmt.Fprintln(w, strings.TrimRight(strings.Join(cells, "  "), " "))
		return err
	}
	err := row(func(name string) string { return strings.ToUpper(strings.ReplaceAll(name, "_", " ")) })
	return func(l *audit.Line) error {
		return row(func(name string) string {
			value := l.Get(name)
			if value == nil && name == "reason" { // a verification that was answered
				value = l.Get("verdict")
			}
			return string(value)
		})
	}, err
}
