package reader

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

const (
	tableAhead = 1000 // rows that are looked at before the columns are chosen
	timeLayout = "2006-01-02 15:04:05.000Z07:00"
	gap        = 2 // blanks between two columns

	fieldTime    = "time"
	fieldReason  = "reason"
	fieldAuditID = "audit_id"
)

// leftOut is the order in which columns give way to the width of a terminal. Time and audit ID stay.
var leftOut = []string{"identifier", "limit", "organization", "event", "count", "caller", "outcome", fieldReason}

// table prints records for people, in the columns that tell them apart.
type table struct {
	w     io.Writer
	width int            // of the terminal; 0: not bounded
	zone  *time.Location // of times
	live  bool           // rows are printed as they come, in every column

	columns []column       // chosen, once there are some
	shared  map[int]string // values of the fields that are no columns, by their place in all
	rows    [][]string     // that wait until columns are chosen
	all     []audit.Field  // that may be columns
}

type column struct {
	audit.Field

	index, width int
}

func newTable(w io.Writer, o *FindOptions) *table {
	all := slices.DeleteFunc(audit.Fields(), func(f audit.Field) bool { return f.Column.Place == 0 })
	slices.SortFunc(all, func(a, b audit.Field) int { return cmp.Compare(a.Column.Place, b.Column.Place) })
	return &table{w: w, width: o.Width, zone: cmp.Or(o.Zone, time.UTC), live: o.Live, all: all}
}

func (t *table) add(l *audit.Line) error {
	row := make([]string, len(t.all))
	for i := range t.all {
		row[i] = t.cell(t.all[i].Name, l)
	}
	if t.columns != nil && t.shares(row) {
		return t.print(row)
	}
	if t.columns != nil { // a new head, for this row and those after it
		t.columns = nil
		if _, err := fmt.Fprintln(t.w); err != nil {
			return err
		}
	}
	t.rows = append(t.rows, row)
	if t.live || len(t.rows) == tableAhead {
		return t.flush()
	}
	return nil
}

// shares reports whether the columns and what the head says are the whole truth about a row.
func (t *table) shares(row []string) bool {
	for i, value := range t.shared {
		if row[i] != value {
			return false
		}
	}
	return true
}

func (t *table) cell(name string, l *audit.Line) string {
	value := string(l.Get(name))
	switch name {
	case fieldTime:
		if at, err := time.Parse(time.RFC3339Nano, value); err == nil {
			return at.In(t.zone).Format(timeLayout)
		}
	case fieldReason:
		if value == "" { // a verification that was answered
			return string(l.Get("verdict"))
		}
	}
	return value
}

// flush chooses the columns by the rows that wait, and prints them.
func (t *table) flush() error {
	if t.columns != nil || len(t.rows) == 0 {
		return nil
	}
	same := t.choose()
	hidden := t.fit()
	if len(same) > 0 {
		if _, err := fmt.Fprintf(t.w, "all: %s\n", strings.Join(same, ", ")); err != nil {
			return err
		}
	}
	if len(hidden) > 0 {
		_, err := fmt.Fprintf(t.w, "no room for: %s (a wider terminal, or --output json)\n", strings.Join(hidden, ", "))
		if err != nil {
			return err
		}
	}
	head := make([]string, len(t.all))
	for i, f := range t.all {
		head[i] = title(f.Name)
	}
	for _, row := range append([][]string{head}, t.rows...) {
		if err := t.print(row); err != nil {
			return err
		}
	}
	t.rows = nil
	return nil
}

func title(name string) string { return strings.ToUpper(strings.ReplaceAll(name, "_", " ")) }

// choose makes columns of the fields whose values differ. It returns those that all rows share.
func (t *table) choose() []string {
	var same []string
	t.shared = map[int]string{}
	for i, f := range t.all {
		first, width := t.rows[0][i], utf8.RuneCountInString(title(f.Name))
		differ := t.live || f.Name == fieldTime || f.Name == fieldAuditID
		for _, row := range t.rows {
			differ = differ || row[i] != first
			width = max(width, utf8.RuneCountInString(row[i]))
		}
		switch {
		case differ && t.live:
			t.columns = append(t.columns, column{f, i, max(width, f.Column.Width)})
		case differ:
			t.columns = append(t.columns, column{f, i, width})
		default:
			t.shared[i] = first
			if first != "" {
				same = append(same, f.Name+" "+first)
			}
		}
	}
	return same
}

// fit takes columns out until a row fits the terminal, and returns their names.
func (t *table) fit() []string {
	var hidden []string
	for _, name := range leftOut {
		total := -gap
		for _, c := range t.columns {
			total += c.width + gap
		}
		if t.width == 0 || total <= t.width {
			break
		}
		before := len(t.columns)
		t.columns = slices.DeleteFunc(t.columns, func(c column) bool { return c.Name == name })
		if len(t.columns) < before {
			hidden = append(hidden, name)
		}
	}
	return hidden
}

func (t *table) print(row []string) error {
	var line strings.Builder
	for _, c := range t.columns {
		width := -c.width // to the left
		if c.IsNumber() {
			width = c.width
		}
		_, _ = fmt.Fprintf(&line, "%*s%*s", width, row[c.index], gap, "")
	}
	_, err := fmt.Fprintln(t.w, strings.TrimRight(line.String(), " "))
	return err
}
