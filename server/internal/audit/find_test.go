package audit

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestFind(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	k1, k2 := o.Keys[0], testKey(t, "k2")
	for day, key := range []*Key{k1, k2} { // a new key on the second day
		o.Keys = []*Key{key}
		l := mustOpen(t, o)
		for i, email := range []string{"anna@example.com", "bert@example.com", "Anna@Example.com"} {
			r := issued(TokenDigest(fmt.Sprintf("token %d-%d", day, i)))
			r.Time = noon.AddDate(0, 0, day).Add(time.Duration(i) * time.Minute)
			r.AuditID = fmt.Sprintf("id-%d-%d", day, i)
			r.EmailHMAC = l.Pseudonym(KindEmail, email)
			r.ExternalIDHMAC = l.Pseudonym(KindExternalID, fmt.Sprint("user-", i))
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
		keys []*Key
		want []string
	}{
		{
			"an email in any case, under both keys",
			Query{Email: "ANNA@example.com"},
			[]*Key{k2, k1},
			[]string{"id-0-0", "id-0-2", "id-1-0", "id-1-2"},
		},
		{"under the old key alone", Query{Email: "anna@example.com"}, []*Key{k1}, []string{"id-0-0", "id-0-2"}},
		{"an external id", Query{ExternalID: "user-1"}, []*Key{k2, k1}, []string{"id-0-1", "id-1-1"}},
		{"an external id in another case is another person", Query{ExternalID: "USER-1"}, []*Key{k2, k1}, nil},
		{"both must match", Query{Email: "anna@example.com", ExternalID: "user-1"}, []*Key{k2, k1}, nil},
		{"a token", Query{TokenSHA256: TokenDigest("token 1-2")}, nil, []string{"id-1-2"}},
		{"an audit id", Query{AuditID: "id-0-1"}, nil, []string{"id-0-1"}},
		{"a caller", Query{Caller: `a "quoted" one`}, nil, []string{"id-0-2", "id-1-2"}},
		{"since", Query{Caller: "web", Since: noon.Add(time.Hour)}, nil, []string{"id-1-0"}},
		{"since in another zone", Query{Caller: "web", Since: noon.In(time.FixedZone("", -7200))}, nil, []string{"id-0-0", "id-1-0"}},
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
	var out bytes.Buffer
	if _, err := Find(t.Context(), Files(o.File), Query{AuditID: "id-0-1"}, FindOptions{Output: OutputTable}, &out); err != nil {
		t.Fatal(err)
	}
	if rows := strings.Split(out.String(), "\n"); len(rows) != 3 || !strings.HasPrefix(rows[1], "2026-11-23T12:01:00.0") {
		t.Errorf("table:\n%s", out.String())
	}
}

func TestFindRefusesWhatItCannotDo(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]struct {
		q Query
		o FindOptions
	}{
		"nothing to find":  {},
		"--audit-key-file": {q: Query{Email: "x"}},
		"--output":         {q: Query{Caller: "x"}, o: FindOptions{Output: "xml"}},
	} {
		if _, err := Find(t.Context(), nil, c.q, c.o, new(bytes.Buffer)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestPseudonyms(t *testing.T) {
	t.Parallel()
	k1, k2 := testKey(t, "k1"), testKey(t, "k2")
	seen := map[string]string{}
	for name, p := range map[string]string{
		"email":        k1.Pseudonym(KindEmail, "a@example.com"),
		"other email":  k1.Pseudonym(KindEmail, "b@example.com"),
		"other kind":   k1.Pseudonym(KindExternalID, "a@example.com"),
		"other key":    k2.Pseudonym(KindEmail, "a@example.com"),
		"empty":        k1.Pseudonym(KindEmail, ""),
		"non-ASCII":    k1.Pseudonym(KindEmail, "ä@example.com"),
		"non-ASCII up": k1.Pseudonym(KindEmail, "Ä@example.com"),
	} {
		if len(p) != 32 {
			t.Errorf("%s: %q", name, p)
		}
		if other, twice := seen[p]; twice {
			t.Errorf("%s and %s have the same pseudonym", name, other)
		}
		seen[p] = name
	}
	if k1.Pseudonym(KindEmail, "A@Example.COM") != k1.Pseudonym(KindEmail, "a@example.com") {
		t.Error("ASCII case of an email is not folded")
	}
}

func TestParseKeys(t *testing.T) {
	t.Parallel()
	good := strings.Repeat("A", 43) + "="
	other := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("x"), 40))
	keys, err := ParseKeys(strings.NewReader("# keys\n2026-q4:" + good + "\n\n  " + strings.TrimRight(other, "=") + "  \r\n"))
	if err != nil || len(keys) != 2 || keys[0].Name() != "2026-q4" || keys[1].Name() != "" || keys[0].ID() == keys[1].ID() {
		t.Fatalf("ParseKeys = %v, %v", keys, err)
	}
	got := fmt.Sprintf("%v %+v %#v %s %x", keys[0], keys[0], keys[0], keys[0], keys[0])
	if strings.TrimSpace(strings.ReplaceAll(got, keys[0].ID(), "")) != "" {
		t.Errorf("a key prints as %s", got)
	}
	for file, want := range map[string]string{
		"":                            "no key in it",
		"# nothing":                   "no key in it",
		"short:" + good[:20] + "":     "line 1: the key has 15 bytes",
		good + "\n!secret-not-base64": "line 2: not base64",
		"a b:" + good:                 "line 1: a key's name",
		good + "\nagain:" + good:      "line 2: the same key as on line 1",
	} {
		_, err := ParseKeys(strings.NewReader(file))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseKeys(%q) = %v, want %q", file, err, want)
		}
		if err != nil && (strings.Contains(err.Error(), "AAAA") || strings.Contains(err.Error(), "secret")) {
			t.Errorf("the error repeats the key: %v", err)
		}
	}
}

func FuzzParseKeys(f *testing.F) {
	f.Add("name:" + strings.Repeat("A", 43) + "=\n")
	f.Add(":\n::\n=")
	f.Fuzz(func(t *testing.T, s string) {
		keys, err := ParseKeys(strings.NewReader(s))
		if (err == nil) == (len(keys) == 0) {
			t.Fatalf("%d keys and %v", len(keys), err)
		}
		for _, k := range keys {
			if len(k.ID()) != 16 || len(k.Name()) > 64 {
				t.Fatalf("key %q of name %q", k.ID(), k.Name())
			}
		}
	})
}

func TestNewID(t *testing.T) {
	t.Parallel()
	at := time.UnixMilli(0x0123456789ab)
	ones := func() uint64 { return 1<<64 - 1 }
	zeros := func() uint64 { return 0 }
	for want, random := range map[string]func() uint64{
		"01234567-89ab-7fff-bfff-ffffffffffff": ones,
		"01234567-89ab-7000-8000-000000000000": zeros,
	} {
		if got := NewID(at, random); got != want {
			t.Errorf("NewID = %s, want %s", got, want)
		}
	}
	if first, second := NewID(at, nil), NewID(at, nil); first == second {
		t.Error("two ids are the same")
	}
}
