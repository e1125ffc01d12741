package audit

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the schema and the golden records instead of comparing them")

// golden compares content with the file at path, or writes it there.
func golden(t *testing.T, path string, content []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(content, want) {
		t.Errorf("%s differs; if that is meant, run go test ./server/internal/audit -update. Now:\n%s", path, content)
	}
}

const (
	schemaHead = `{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "$id": "https://chatidentity.example/schemas/audit-record-v1.json",
  "title": "chatidentity audit record, version 1",
  "description": "One line of the audit log. The line ends with mac and nothing may stand between its members; docs/audit.md says what the mac covers.",
  "type": "object",
  "properties": {
`
	schemaTail = `
  "additionalProperties": false,
  "allOf": [
    {
      "if": { "properties": { "event": { "const": "calls.refused" } } },
      "then": { "required": ["summarized_event", "count"] },
      "else": { "properties": { "summarized_event": false } }
    },
    {
      "if": { "properties": { "event": { "const": "copy.gap" } } },
      "then": { "required": ["count"] }
    },
    {
      "if": { "properties": { "event": { "enum": ["calls.refused", "copy.gap"] } } },
      "else": { "properties": { "count": false } }
    },
    {
      "if": { "properties": { "event": { "const": "token.issue" }, "outcome": { "const": "OK" } } },
      "then": { "required": ["token_sha256"] }
    },
    {
      "if": { "properties": { "event": { "const": "chain.start" } } },
      "then": { "required": ["reason"] }
    }
  ],
  "$defs": {
    "pseudonym": { "type": "string", "pattern": "^[0-9a-f]{32}$", "description": "HMAC under a key derived from the audit key; the same person has the same one under the same key." }
  }
}
`
)

// property is a field's line of the schema.
func property(t *testing.T, f Field) string {
	t.Helper()
	value := f.Schema
	switch {
	case value != "":
	case f.IsNumber():
		value = positive
	default:
		value = fmt.Sprintf(`"type": "string", "minLength": 1, "maxLength": %d`, f.Bound)
	}
	if f.Doc != "" {
		doc, err := json.Marshal(f.Doc)
		if err != nil {
			t.Fatal(err)
		}
		value += `, "description": ` + string(doc)
	}
	return fmt.Sprintf("    %q: { %s }", f.Name, value)
}

// TestSchemaIsTheTables: docs/audit-record.schema.json is made from the table.
func TestSchemaIsTheTables(t *testing.T) {
	t.Parallel()
	var properties, required []string
	for _, f := range Fields() {
		properties = append(properties, property(t, f))
		if f.Always {
			required = append(required, fmt.Sprintf("%q", f.Name))
		}
	}
	golden(t, "../../../docs/audit-record.schema.json", []byte(schemaHead+strings.Join(properties, ",\n")+
		"\n  },\n  \"required\": ["+strings.Join(required, ", ")+"],"+schemaTail))
}

// TestRecordsKeepTheirForm holds each kind of line to the byte. tools/schema validates the same
// lines against the schema.
func TestRecordsKeepTheirForm(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 7, 8, 9, 10, time.UTC)
	key := testKey(t, "k")
	full := filled("x", 1)
	full.Time, full.Event, full.Outcome, full.Reason = at, EventIssue, OutcomeOK, "NONE"
	full.EmailHMAC, full.ExternalIDHMAC = key.Pseudonym(KindEmail, "a@b.c"), key.Pseudonym(KindExternalID, "1")
	full.IssuedAt, full.TokenSHA256, full.Duration = at.Unix(), strings.Repeat("0a", 32), 42*time.Microsecond
	full.Summarized, full.Count = "", 0
	chain := NewChain(key, Head{})
	var lines []byte
	for i, r := range []*Record{
		{Event: EventStart, Outcome: OutcomeOK, Reason: "NEW_CHAIN"},
		full,
		{Event: EventIssue, Outcome: OutcomeOK, TokenSHA256: full.TokenSHA256},
		{Event: EventVerify},
		{Event: EventIssue, Outcome: "RESOURCE_EXHAUSTED", Caller: strings.Repeat("ü", 2000), RequestID: "no good"},
		{Event: EventRefused, Outcome: "RESOURCE_EXHAUSTED", Reason: "RATE_LIMITED", Summarized: EventIssue, Count: math.MaxUint64},
		{Event: EventCopyGap, Outcome: OutcomeOK, Count: 1234},
	} {
		r.Time, r.Instance, r.AuditID = at, "pod-1", fmt.Sprintf("019a-%d", i)
		lines = chain.Seal(lines, AppendBody(nil, r), uint64(i/5))
	}
	golden(t, "testdata/records.jsonl", lines)
	seen := map[string]bool{}
	for line := range bytes.Lines(lines) {
		for _, name := range namesIn(t, line) {
			seen[name] = true
		}
	}
	for _, f := range Fields() {
		if !seen[f.Name] {
			t.Errorf("no line has %s", f.Name)
		}
	}
}
