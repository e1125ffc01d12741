package audit

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// namesIn lists the fields of a line in the order in which they stand.
func namesIn(t *testing.T, line []byte) []string {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(line)))
	var names []string
	for isName := false; ; isName = !isName {
		token, err := d.Token()
		if err != nil {
			return names
		}
		if name, isText := token.(string); isText && isName {
			names = append(names, name)
		}
	}
}

func names(fields []Field) []string {
	all := make([]string, len(fields))
	for i, f := range fields {
		all[i] = f.Name
	}
	return all
}

func TestLineHasTheTablesFieldsInItsOrder(t *testing.T) {
	t.Parallel()
	if got, want := namesIn(t, seal(t, filled("x", 1), 1)), names(Fields()); !slices.Equal(got, want) {
		t.Errorf("a line has\n%v, the table\n%v", got, want)
	}
	var always []Field
	for _, f := range Fields() {
		if f.Always {
			always = append(always, f)
		}
	}
	if got, want := namesIn(t, seal(t, &Record{Instance: "i", AuditID: "id", Event: EventVerify}, 0)), names(always); !slices.Equal(got, want) {
		t.Errorf("an empty line has\n%v, the table\n%v", got, want)
	}
}

// A field of Record that is not in the table would never be written.
func TestEveryFieldOfARecordIsWritten(t *testing.T) {
	t.Parallel()
	empty := string(AppendBody(nil, new(Record)))
	for i := range reflect.TypeFor[Record]().NumField() {
		r := new(Record)
		fill(reflect.ValueOf(r).Elem().Field(i), "x", 1e9)
		if string(AppendBody(nil, r)) == empty {
			t.Errorf("%s is in no line", reflect.TypeFor[Record]().Field(i).Name)
		}
	}
}

func TestSearchRefusesWhatNoRecordHolds(t *testing.T) {
	t.Parallel()
	for _, f := range Fields() {
		good, bad := map[string]string{
			"audit_id": "019abcde-0123-7456-89ab-0123456789ab", "caller": "uid:1000", "request_id": "a.b", "trace_id": strings.Repeat("0", 32),
		}[f.Name], "no such/value"
		if f.Search.Form == "" {
			good, bad = bad, ""
		}
		if err := f.Search.Check(good); err != nil {
			t.Errorf("%s: %v", f.Name, err)
		}
		if err := f.Search.Check(bad); bad != "" && (err == nil || !strings.Contains(err.Error(), f.Search.Expects)) {
			t.Errorf("%s: %q: %v, want an error that says %q", f.Name, bad, err, f.Search.Expects)
		}
	}
}

func TestColumnsHavePlaces(t *testing.T) {
	t.Parallel()
	var places []int
	for _, f := range Fields() {
		if f.Column.Place != 0 {
			places = append(places, f.Column.Place)
		}
	}
	slices.Sort(places)
	for i, place := range places {
		if place != i+1 {
			t.Fatalf("columns at %v, want 1 to %d", places, len(places))
		}
	}
}
