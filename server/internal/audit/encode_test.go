package audit

import (
	"cmp"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// seal makes the line of r.
func seal(tb testing.TB, r *Record, dropped uint64) []byte {
	tb.Helper()
	c := NewChain(testKey(tb, "k"), Head{Seq: math.MaxUint64 - 1})
	return c.Seal(nil, AppendBody(nil, r), dropped)
}

// filled is a record with s in each text and n in each number.
func filled(s string, n int64) *Record {
	r := new(Record)
	for _, field := range reflect.ValueOf(r).Elem().Fields() {
		fill(field, s, n)
	}
	return r
}

func fill(field reflect.Value, s string, n int64) {
	switch field.Interface().(type) {
	case string, Event:
		field.SetString(s)
	case int64, time.Duration:
		field.SetInt(n)
	case uint64:
		field.SetUint(uint64(n))
	case time.Time:
		field.Set(reflect.ValueOf(time.Unix(n, n)))
	default:
		panic("a field of a type that this test does not know: " + field.Type().String())
	}
}

// checkLine is what holds of every line, whatever is in it.
func checkLine(tb testing.TB, b []byte) map[string]any {
	tb.Helper()
	if len(b) > MaxLine {
		tb.Fatalf("%d bytes, at most %d are allowed", len(b), MaxLine)
	}
	if !utf8.Valid(b) {
		tb.Fatalf("not UTF-8: %q", b)
	}
	text := strings.TrimSuffix(string(b), "\n")
	if strings.ContainsAny(text, "\n\r\v\f\u0085\u2028\u2029") || len(text) != len(b)-1 {
		tb.Fatalf("not one line: %q", b)
	}
	var got map[string]any
	if err := json.Unmarshal(b, &got); err != nil {
		tb.Fatalf("not JSON: %v: %q", err, b)
	}
	for _, f := range Fields() {
		if _, ok := got[f.Name]; !ok && f.Always && f.Name != "audit_id" { // the log makes it
			tb.Fatalf("%s is missing: %q", f.Name, b)
		}
	}
	if _, err := time.Parse(time.RFC3339Nano, got["time"].(string)); err != nil {
		tb.Fatal(err)
	}
	return got
}

func TestEncodeWorstCase(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]string{
		"plain": "x", "quotes": `"`, "newlines": "\n", "line separators": "\u2028", "NUL": "\x00", "wide": "😀", "not UTF-8": "\xff",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			long := strings.Repeat(s, 5000)
			r := filled(long, math.MaxInt64)
			r.RequestID = strings.Repeat("x", maxRequestID)
			b := seal(t, r, math.MaxUint64)
			got := checkLine(t, b)
			if len(b) < MaxLine/2 {
				t.Errorf("only %d bytes: this is not the worst case", len(b))
			}
			if caller, _ := got["caller"].(string); !strings.HasSuffix(caller, "…") {
				t.Errorf("a text that was cut is not marked: %q", caller)
			}
		})
	}
}

func TestEncodeKeepsWhatFits(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"x", `back\slash "quoted"`, "tab\tand\nnewline", "<&>", "Grüße 😀", strings.Repeat("a", maxName), "\u2028",
		"\n", "\x00", `"`, `\`, strings.Repeat("ä", maxName/len("ä")),
	} {
		got := checkLine(t, seal(t, filled(s, 7), 0))
		for key, value := range got {
			switch key {
			case "v", "seq", "time", "iat", "count", "duration_us", "key_id", "mac":
			default:
				if value != s {
					t.Errorf("%s is %q, want %q", key, value, s)
				}
			}
		}
	}
}

func TestEncodeOrderAndOmission(t *testing.T) {
	t.Parallel()
	r := &Record{
		Time: time.Date(2026, 11, 23, 8, 9, 10, 11, time.FixedZone("", 3600)), Instance: "pod-1", AuditID: "id", Event: EventVerify,
	}
	got := string(seal(t, r, 3))
	want := `{"v":1,"seq":18446744073709551615,"time":"2026-11-23T07:09:10.000000011Z","instance":"pod-1","audit_id":"id",` +
		`"event":"token.verify","outcome":"UNKNOWN","duration_us":0,"dropped":3,"key_id":"`
	if !strings.HasPrefix(got, want) {
		t.Fatalf("got  %s\nwant %s…", got, want)
	}
}

// A text that is too long loses no more than it must.
func TestATextIsCutAtItsBound(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		strings.Repeat("x", 513):                strings.Repeat("x", 509) + "…",
		strings.Repeat("ä", 257):                strings.Repeat("ä", 254) + "…",
		strings.Repeat("x", 510) + "\n":         strings.Repeat("x", 509) + "…",
		strings.Repeat("x", 506) + "\u2028":     strings.Repeat("x", 506) + "\u2028",
		strings.Repeat("x", 507) + "\u2028":     strings.Repeat("x", 507) + "…",
		strings.Repeat("x", 503) + "\u2028abcd": strings.Repeat("x", 503) + "\u2028…",
	} {
		if got := checkLine(t, seal(t, &Record{Instance: "i", Event: EventVerify, Caller: s}, 0))["caller"]; got != want {
			t.Errorf("%q is cut to %q, want %q", s, got, want)
		}
	}
}

// A year that RFC 3339 cannot write becomes the zero time.
func TestEncodeTime(t *testing.T) {
	t.Parallel()
	for year, want := range map[int]string{
		-1: "0001-01-01T00:00:00.000000000Z", 0: "0000-02-03T04:05:06.000000007Z",
		9999: "9999-02-03T04:05:06.000000007Z", 10000: "0001-01-01T00:00:00.000000000Z",
	} {
		if got := string(AppendTime(nil, time.Date(year, 2, 3, 4, 5, 6, 7, time.UTC))); got != want {
			t.Errorf("year %d: %s, want %s", year, got, want)
		}
	}
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	for id, kept := range map[string]bool{
		"": false, "a": true, "A-z_0.9:x": true, strings.Repeat("a", 128): true, strings.Repeat("a", 129): false,
		"a b": false, "a\n": false, "ä": false, "a/b": false, "@": false, "[": false, "`": false, "{": false,
	} {
		got := checkLine(t, seal(t, &Record{Instance: "i", Event: EventVerify, RequestID: id}, 0))
		if _, ok := got["request_id"]; ok != kept {
			t.Errorf("request id %q: kept is %v, want %v", id, ok, kept)
		}
	}
}

func FuzzEncode(f *testing.F) {
	f.Add("caller", "peer", "pod", int64(0), uint64(0))
	f.Add("\n\u2028\"\\", strings.Repeat("\x00", 600), "\xff", int64(math.MinInt64), uint64(math.MaxUint64))
	f.Fuzz(func(t *testing.T, a, b, instance string, n int64, dropped uint64) {
		r := filled(a, n)
		r.Caller, r.Peer, r.Organization, r.Event = b, a+b, b+a, EventIssue
		r.Instance = cmp.Or(instance, "i") // the log always has one
		raw := seal(t, r, dropped)
		got := checkLine(t, raw)
		var l Line
		if err := l.Parse(raw[:len(raw)-1]); err != nil {
			t.Fatalf("%v: %q", err, raw)
		}
		for key, value := range got {
			if s, isText := value.(string); isText && key != "mac" && l.Text(key) != s {
				t.Fatalf("%s is read as %q, want %q", key, l.Text(key), s)
			}
		}
	})
}
