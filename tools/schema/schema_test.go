package schema

import (
	"bytes"
	"flag"
	"os"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// The lines are held to the code by audit's own tests.
const lines = "../../server/internal/audit/testdata/records.jsonl"

// TestMain keeps results out of go's test cache, which looks at no file outside this module and
// would call them good for a changed schema or record. Without the log of what the test binary
// opened, cmd/go keeps nothing.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.testlogfile", ""); err != nil {
		panic(err)
	}
	m.Run()
}

func compile(t *testing.T) *jsonschema.Schema {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile("../../docs/audit-record.schema.json") // as the 2020-12 that it names
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// records returns the records of all lines, decoded.
func records(t *testing.T) []map[string]any {
	t.Helper()
	text, err := os.ReadFile(lines)
	if err != nil {
		t.Fatal(err)
	}
	var all []map[string]any
	for line := range bytes.Lines(text) {
		record, err := jsonschema.UnmarshalJSON(bytes.NewReader(line))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, record.(map[string]any))
	}
	return all
}

func TestSchemaAcceptsWhatTheLogWrites(t *testing.T) {
	t.Parallel()
	schema := compile(t)
	for _, record := range records(t) {
		if err := schema.Validate(record); err != nil {
			t.Errorf("%v: %v", record, err)
		}
	}
}

func TestSchemaRefuses(t *testing.T) {
	t.Parallel()
	schema := compile(t)
	for name, change := range map[string]func(map[string]any){
		"another version":         func(r map[string]any) { r["v"] = 2 },
		"seq as text":             func(r map[string]any) { r["seq"] = "1" },
		"seq 0":                   func(r map[string]any) { r["seq"] = 0 },
		"no mac":                  func(r map[string]any) { delete(r, "mac") },
		"an email":                func(r map[string]any) { r["email"] = "a@b.c" },
		"an email as its hmac":    func(r map[string]any) { r["email_hmac"] = "a@b.c" },
		"an unknown event":        func(r map[string]any) { r["event"] = "token.revoke" },
		"a token without digest":  func(r map[string]any) { delete(r, "token_sha256") },
		"a count of a token":      func(r map[string]any) { r["count"] = 2 },
		"a summary without count": func(r map[string]any) { r["event"] = "calls.refused" },
		"a local time":            func(r map[string]any) { r["time"] = "2026-11-23T07:08:09.000000000+01:00" },
		"an empty caller":         func(r map[string]any) { r["caller"] = "" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			full := records(t)[1]
			change(full)
			if schema.Validate(full) == nil {
				t.Error("accepted")
			}
		})
	}
}
