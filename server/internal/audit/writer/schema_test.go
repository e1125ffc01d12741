package writer

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

// schema is the part of JSON Schema 2020-12 that the record's schema uses. A
// keyword that check does not know is an error, so that none is passed over.
type schema = map[string]any

// annotations say nothing about what is valid.
var annotations = []string{"$schema", "$id", "$defs", "title", "description"}

func check(root schema, s, v any) error {
	if b, isBool := s.(bool); isBool {
		if !b {
			return errors.New("must not be there")
		}
		return nil
	}
	node := s.(schema)
	for keyword, arg := range node {
		if err := checkKeyword(root, node, keyword, arg, v); err != nil {
			return fmt.Errorf("%s: %w", keyword, err)
		}
	}
	return nil
}

//nolint:gocyclo // a case a keyword
func checkKeyword(root, node schema, keyword string, arg, v any) error {
	object, isObject := v.(map[string]any)
	text, isText := v.(string)
	number, isNumber := v.(json.Number)
	var n float64
	if isNumber {
		n, _ = number.Float64()
	}
	ok := true
	switch keyword {
	case "type":
		ok = arg == "object" && isObject || arg == "string" && isText ||
			arg == "integer" && isNumber && !strings.ContainsAny(number.String(), ".eE")
	case "const":
		ok = fmt.Sprint(arg) == fmt.Sprint(v)
	case "enum":
		ok = slices.Contains(arg.([]any), v)
	case "pattern":
		ok = !isText || regexp.MustCompile(arg.(string)).MatchString(text)
	case "minimum":
		limit, _ := arg.(json.Number).Float64()
		ok = !isNumber || n >= limit
	case "minLength", "maxLength":
		limit, _ := arg.(json.Number).Int64()
		length := int64(utf8.RuneCountInString(text))
		ok = !isText || keyword == "minLength" && length >= limit || keyword == "maxLength" && length <= limit
	case "required":
		for _, key := range arg.([]any) {
			if _, there := object[key.(string)]; !there {
				return fmt.Errorf("%v is missing", key)
			}
		}
	case "properties":
		for key, sub := range arg.(schema) {
			if value, there := object[key]; there {
				if err := check(root, sub, value); err != nil {
					return fmt.Errorf("%s: %w", key, err)
				}
			}
		}
	case "additionalProperties":
		for key := range object {
			if _, known := node["properties"].(schema)[key]; !known && arg == false {
				return fmt.Errorf("%s is not in the schema", key)
			}
		}
	case "allOf":
		for _, sub := range arg.([]any) {
			if err := check(root, sub, v); err != nil {
				return err
			}
		}
	case "if":
		branch := "then"
		if check(root, arg, v) != nil {
			branch = "else"
		}
		if sub, there := node[branch]; there {
			return check(root, sub, v)
		}
	case "then", "else": // with if
	case "$ref":
		return check(root, root["$defs"].(schema)[strings.TrimPrefix(arg.(string), "#/$defs/")], v)
	default:
		if !slices.Contains(annotations, keyword) {
			return errors.New("not a keyword that this test knows")
		}
	}
	if !ok {
		return fmt.Errorf("%v does not fit %v", v, arg)
	}
	return nil
}

func decode(t *testing.T, b []byte) map[string]any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func readSchema(t *testing.T) schema {
	t.Helper()
	b, err := os.ReadFile("../../../../docs/audit-record.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, b)
}

// realOutput is lines of every kind, with all fields filled and with none.
func realOutput(t *testing.T) [][]byte {
	t.Helper()
	o, out := withBuffer(testOptions(t))
	o.Keys = nil
	l := mustOpen(t, o)
	full := issued(digestOf("x"))
	full.EmailHMAC, full.ExternalIDHMAC = l.Pseudonym(audit.KindEmail, "a@b.c"), l.Pseudonym(audit.KindExternalID, "1")
	full.RequestID, full.TraceID, full.Limit, full.Reason, full.Verdict = "r-1", "t", "caller", "NONE", "ACCEPTED"
	for _, r := range []*audit.Record{
		full,
		{Event: audit.EventIssue, Outcome: audit.OutcomeOK, TokenSHA256: digestOf("y")},
		{Event: audit.EventVerify},
		{Event: audit.EventIssue, Outcome: "RESOURCE_EXHAUSTED", Reason: "RATE_LIMITED", Caller: strings.Repeat("ü", 2000), RequestID: "no good"},
		{Event: audit.EventIssue, Outcome: "RESOURCE_EXHAUSTED", Reason: "RATE_LIMITED", Caller: strings.Repeat("ü", 2000)},
	} {
		if err := l.Write(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	l.drop(3)
	full.Time = time.Time{}
	mustWrite(t, l, digestOf("z"))
	mustClose(t, l)
	written := parseLines(t, out.Bytes())
	lines := make([][]byte, 0, len(written))
	for _, l := range written {
		lines = append(lines, l.Raw)
	}
	return lines
}

func TestRealOutputFitsTheSchema(t *testing.T) {
	t.Parallel()
	s := readSchema(t)
	seen := map[string]bool{}
	for _, raw := range realOutput(t) {
		v := decode(t, raw)
		if err := check(s, s, v); err != nil {
			t.Errorf("%v\n%s", err, raw)
		}
		for key := range v {
			seen[key] = true
		}
	}
	for key := range s["properties"].(schema) {
		if !seen[key] {
			t.Errorf("%s is in the schema, but in no record of this test", key)
		}
	}
}

// TestSchemaRefuses checks that the schema, and the checker, can say no.
func TestSchemaRefuses(t *testing.T) {
	t.Parallel()
	s := readSchema(t)
	good := realOutput(t)[1] // the full one
	for name, change := range map[string]func(map[string]any){
		"another version":         func(v map[string]any) { v["v"] = json.Number("2") },
		"seq as text":             func(v map[string]any) { v["seq"] = "1" },
		"seq 0":                   func(v map[string]any) { v["seq"] = json.Number("0") },
		"no mac":                  func(v map[string]any) { delete(v, "mac") },
		"an email":                func(v map[string]any) { v["email"] = "a@b.c" },
		"an email as its hmac":    func(v map[string]any) { v["email_hmac"] = "a@b.c" },
		"an unknown event":        func(v map[string]any) { v["event"] = "token.revoke" },
		"a token without digest":  func(v map[string]any) { delete(v, "token_sha256") },
		"a count of a token":      func(v map[string]any) { v["count"] = json.Number("2") },
		"a summary without count": func(v map[string]any) { v["event"] = "calls.refused" },
		"a local time":            func(v map[string]any) { v["time"] = "2026-11-23T07:08:09.000000000+01:00" },
		"an empty caller":         func(v map[string]any) { v["caller"] = "" },
	} {
		v := decode(t, good)
		change(v)
		if check(s, s, v) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
