package reader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

// Query says which records to find: those that match all that is given. With
// nothing given Find refuses.
type Query struct {
	Email       string
	ExternalID  string
	TokenSHA256 string // hex, as records hold it
	AuditID     string
	Caller      string
	Since       time.Time
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
	Records    uint64 // read
	Matches    uint64 // printed
	Unreadable uint64 // lines that are no records
	Unknown    uint64 // records under keys that are not known, in which a person cannot be searched for
}

// person is the pseudonyms of the searched one under one key.
type person struct {
	email, externalID []byte
}

type finder struct {
	q      Query
	since  []byte
	people map[string]person // by key_id; nil: nobody is searched for
	out    func(*audit.Line) error
	found  Found
	line   audit.Line
}

// Find prints the records that match q to w, in the order in which they stand.
// It does not verify them.
func Find(ctx context.Context, sources []Source, q Query, o FindOptions, w io.Writer) (Found, error) {
	f := &finder{q: q}
	if q == (Query{}) {
		return f.found, errors.New("nothing to find: give --email, --external-id, --token, --audit-id, --caller or --since")
	}
	if !q.Since.IsZero() {
		f.since = audit.AppendTime(nil, q.Since)
	}
	if q.Email != "" || q.ExternalID != "" {
		if len(o.Keys) == 0 {
			return f.found, errors.New("--email and --external-id need --audit-key-file: records hold only keyed pseudonyms")
		}
		f.people = q.people(o.Keys)
	}
	var err error
	if f.out, err = printer(o.Output, w); err != nil {
		return f.found, err
	}
	s := &scanner{progress: o.Progress}
	err = s.scan(ctx, sources, f.visit)
	return f.found, err
}

func (q *Query) people(keys []*audit.Key) map[string]person {
	people := make(map[string]person, len(keys))
	for _, k := range keys {
		var p person
		if q.Email != "" {
			p.email = []byte(k.Pseudonym(audit.KindEmail, q.Email))
		}
		if q.ExternalID != "" {
			p.externalID = []byte(k.Pseudonym(audit.KindExternalID, q.ExternalID))
		}
		people[k.ID()] = p
	}
	return people
}

func (f *finder) visit(s scanned) error {
	if readable := !s.long && f.line.Parse(s.text) == nil; !readable {
		f.found.Unreadable++
		return nil
	}
	f.found.Records++
	if !f.matches(&f.line) {
		return nil
	}
	f.found.Matches++
	return f.out(&f.line)
}

func (f *finder) matches(l *audit.Line) bool {
	if f.people != nil && !f.isPerson(l) {
		return false
	}
	return is(l, "token_sha256", f.q.TokenSHA256) && is(l, "audit_id", f.q.AuditID) &&
		(f.q.Caller == "" || l.Text("caller") == f.q.Caller) &&
		bytes.Compare(l.Get("time"), f.since) >= 0
}

func (f *finder) isPerson(l *audit.Line) bool {
	p, known := f.people[string(l.Get("key_id"))]
	if !known {
		f.found.Unknown++
		return false
	}
	return (p.email == nil || bytes.Equal(l.Get("email_hmac"), p.email)) &&
		(p.externalID == nil || bytes.Equal(l.Get("external_id_hmac"), p.externalID))
}

func is(l *audit.Line, key, want string) bool { return want == "" || string(l.Get(key)) == want }

// printer returns what prints a record to w.
func printer(o Output, w io.Writer) (func(*audit.Line) error, error) {
	switch o {
	case OutputJSON, "":
		return func(l *audit.Line) error {
			_, err := fmt.Fprintf(w, "%s\n", l.Raw)
			return err
		}, nil
	case OutputTable:
		const row = "%-30s  %-13s  %-18s  %-22s  %-15s  %-16s  %-11s  %-20s  %6s  %s\n"
		_, err := fmt.Fprintf(w, row, "TIME", "EVENT", "OUTCOME", "REASON", "LIMIT", "ORGANIZATION", "IDENTIFIER", "CALLER", "COUNT", "AUDIT ID")
		return func(l *audit.Line) error {
			reason := l.Get("reason")
			if reason == nil {
				reason = l.Get("verdict")
			}
			_, err := fmt.Fprintf(w, row, l.Get("time"), l.Get("event"), l.Get("outcome"), reason, l.Get("limit"), l.Get("organization"),
				l.Get("identifier"), l.Get("caller"), l.Get("count"), l.Get("audit_id"))
			return err
		}, err
	default:
		return nil, fmt.Errorf("--output %q: want json or table", string(o))
	}
}
