package reader

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

// of is a query for the values of fields, which are named before each.
func of(values ...string) Query {
	q := Query{Values: map[string]string{}}
	for pair := range slices.Chunk(values, 2) {
		q.Values[pair[0]] = pair[1]
	}
	return q
}

func TestFind(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	k1, k2 := o.Keys[0], testKey(t, "k2")
	for day, key := range []*audit.Key{k1, k2} { // a new key on the second day
		o.Keys = []*audit.Key{key}
		l := mustOpen(t, o)
		for i, email := range []string{"anna@example.com", "bert@example.com", "Anna@Example.com"} {
			r := issued(digestOf(fmt.Sprintf("token %d-%d", day, i)))
			r.Time = noon.AddDate(0, 0, day).Add(time.Duration(i) * time.Minute)
			r.AuditID = fmt.Sprintf("id-%d-%d", day, i)
			r.EmailHMAC = l.Pseudonym(audit.KindEmail, email)
			r.ExternalIDHMAC = l.Pseudonym(audit.KindExternalID, fmt.Sprint("user-", i))
			r.Caller = []string{"web", "app", "a \"quoted\" one"}[i]
			if err := l.Write(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		mustClose(t, l)
	}
	for _, c := range []struct {
		name string
		q    Query
		keys []*audit.Key
		want []string
	}{
		{
			"an email in any case, under both keys",
			of("email_hmac", "ANNA@example.com"),
			[]*audit.Key{k2, k1},
			[]string{"id-0-0", "id-0-2", "id-1-0", "id-1-2"},
		},
		{"under the old key alone", of("email_hmac", "anna@example.com"), []*audit.Key{k1}, []string{"id-0-0", "id-0-2"}},
		{"an external id", of("external_id_hmac", "user-1"), []*audit.Key{k2, k1}, []string{"id-0-1", "id-1-1"}},
		{"an external id in another case is another person", of("external_id_hmac", "USER-1"), []*audit.Key{k2, k1}, nil},
		{"both must match", of("email_hmac", "anna@example.com", "external_id_hmac", "user-1"), []*audit.Key{k2, k1}, nil},
		{"a token", of("token_sha256", digestOf("token 1-2")), nil, []string{"id-1-2"}},
		{"an audit id", of("audit_id", "id-0-1"), nil, []string{"id-0-1"}},
		{"a caller", of("caller", `a "quoted" one`), nil, []string{"id-0-2", "id-1-2"}},
		{"since", Query{Values: of("caller", "web").Values, Since: noon.Add(time.Hour)}, nil, []string{"id-1-0"}},
		{"until", Query{Until: noon.Add(time.Second)}, nil, []string{"id-0-0"}},
		{"since in another zone", Query{Values: of("caller", "web").Values, Since: noon.In(time.FixedZone("", -7200))}, nil, []string{"id-0-0", "id-1-0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			found, err := Find(t.Context(), Files(o.File), c.q, FindOptions{Keys: c.keys}, &out)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for l := range bytes.Lines(out.Bytes()) {
				var r struct {
					ID string `json:"audit_id"`
				}
				if err := json.Unmarshal(l, &r); err != nil {
					t.Fatal(err)
				}
				got = append(got, r.ID)
			}
			if !slices.Equal(got, c.want) || found.Matches != uint64(len(c.want)) || found.Records != 8 {
				t.Fatalf("found %v, want %v (%+v)", got, c.want, found)
			}
			if len(c.keys) == 1 && found.Unknown != 4 {
				t.Errorf("%d records under an unknown key, want 4", found.Unknown)
			}
		})
	}
}

func TestFindRefusesWhatItCannotDo(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]struct {
		q Query
		o FindOptions
	}{
		"nothing to find":                  {},
		"audit keys":                       {q: of("email_hmac", "x")},
		"peer cannot be searched for":      {q: of("peer", "x")},
		"mail cannot be searched for":      {q: of("mail", "x")},
		`output "xml": want json or table`: {q: of("caller", "x"), o: FindOptions{Output: "xml"}},
	} {
		if _, err := Find(t.Context(), nil, c.q, c.o, new(bytes.Buffer)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
