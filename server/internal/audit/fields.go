package audit

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Record describes one call. Each of its fields has a row in the table of fields, which says how it
// is written; a test fails for one that has none.
//
// A record holds no token, no secret and no identifier of a person, only their digests and
// pseudonyms ([Key.Pseudonym]).
type Record struct {
	Time           time.Time // when the call came in; zero: when it is written
	Instance       string    // the log fills it in
	AuditID        string    // [NewID]; empty: the log makes one
	Event          Event
	Outcome        string // gRPC code in capitals; empty is written as UNKNOWN
	Reason         string // name of the ErrorReason; of a token.verify, the detail; of a chain.start, why
	Organization   string
	ExternalIDHMAC string
	EmailHMAC      string
	Identifier     string // the one that the token logs in with
	IssuedAt       int64  // iat of the token, seconds since the epoch
	Verdict        string
	Limit          string // the rate limit that refused, or would have
	Caller         string
	Peer           string
	RequestID      string // left out unless [A-Za-z0-9._:-]{1,128}
	TraceID        string
	TokenSHA256    string // hex, of the token's characters
	SecretID       string
	Summarized     Event         // of a calls.refused: the event of the calls it counts
	Count          uint64        // of a calls.refused: how many calls it stands for; of a copy.gap, records
	Duration       time.Duration // written in whole microseconds; of a calls.refused, from its first call to its last
}

// Field is a row of the table of fields. The table drives how a record is written, what find
// searches for and prints, and docs/audit-record.schema.json.
type Field struct {
	Name   string
	Bound  int  // of a text: the most bytes between its quotes, escapes included
	Always bool // every record has it

	// How a record gives its value: one of these. The chain writes the fields without any.
	text   func(*Record) string // "" is left out
	number func(*Record) int64  // 0 is left out, unless Always
	time   func(*Record) time.Time
	key    string // what is written before the value

	Search Search // how find searches for it
	Column Column // in the table that find prints
	Schema string // JSON Schema of the value, if its kind does not say it all
	Doc    string // description in the schema
}

// Search is how find searches for a field. The zero value: it cannot.
type Search struct {
	By        string // what people call it
	Value     string // a word for what they give
	Help      string
	Pseudonym string // KindExternalID or KindEmail: they give what the pseudonym stands for
	Form      string // regular expression for all values that a record can hold; empty: any text
	Expects   string // the form in words
}

// Check returns an error for a value that no record can hold.
func (s *Search) Check(value string) error {
	if matched, err := regexp.MatchString(s.Form, value); err != nil || matched {
		return err
	}
	return fmt.Errorf("%q is in no record: it must be %s", value, s.Expects)
}

// Column is a column of the table that find prints.
type Column struct {
	Place int // from 1; 0: the field is not printed
	Width int
}

// IsNumber reports whether the value is a number.
func (f *Field) IsNumber() bool { return f.number != nil }

// Fields returns the table, in the order in which fields stand in a line.
func Fields() []Field { return slices.Clone(fields) }

// What several fields share.
const (
	maxName      = 64 // bytes of names, codes and digests
	maxRequestID = 128
	positive     = `"type": "integer", "minimum": 1`
	isSHA256     = `"type": "string", "pattern": "^[0-9a-f]{64}$"`
	aPseudonym   = `"$ref": "#/$defs/pseudonym"`
	ofPerson     = "Records of this person; needs the audit keys."
)

// TokenSHA256 names the field that holds the digest of a token.
const TokenSHA256 = "token_sha256"

var fields = withKeys([]Field{
	{Name: "v", Always: true, Schema: `"const": 1`, Doc: "Version of this schema."},
	{Name: "seq", Always: true, Schema: positive, Doc: "Number of the record in its chain."},
	{
		Name: "time", Always: true, Column: Column{1, 30}, time: func(r *Record) time.Time { return r.Time },
		Schema: `"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{9}Z$"`,
		Doc:    "When the call came in: RFC 3339, UTC, always nine digits.",
	},
	{
		Name: "instance", Bound: 256, Always: true, text: func(r *Record) string { return r.Instance },
		Doc: "Pod or host name.",
	},
	{
		Name: "audit_id", Bound: maxName, Always: true, Column: Column{10, 36},
		text: func(r *Record) string { return r.AuditID },
		Search: Search{
			By: "audit-id", Value: "ID", Help: "The record of this call, or of the calls it was counted with.",
			Form:    `^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`,
			Expects: "a UUID in lower case, such as 019abcde-0123-7456-89ab-0123456789ab",
		},
		Doc: "UUIDv7 of the call; errors carry it to the caller. Of calls.refused, that of all calls it counts.",
	},
	{
		Name: "event", Bound: maxName, Always: true, Column: Column{2, 13},
		text:   func(r *Record) string { return string(r.Event) },
		Schema: oneOf(append(slices.Clone(callEvents), EventRefused, EventStart, EventCopyGap)),
	},
	{
		Name: "outcome", Bound: maxName, Always: true, Column: Column{3, 18}, text: (*Record).outcome,
		Schema: `"type": "string", "pattern": "^[A-Z][A-Z_]*$", "maxLength": 64`,
		Doc:    "gRPC code in capitals; OK: the call was answered.",
	},
	{
		Name: "reason", Bound: maxName, Column: Column{4, 22}, text: func(r *Record) string { return r.Reason },
		Doc: "ErrorReason of a refusal; of token.verify why the token is not accepted; " +
			"of chain.start NEW_CHAIN, RESTARTED, KEY_CHANGED, FILE_CHANGED or UNTRUSTED_TAIL.",
	},
	{
		Name: "organization", Bound: 256, Column: Column{6, 16},
		text: func(r *Record) string { return r.Organization },
	},
	{
		Name: "external_id_hmac", Bound: maxName, Schema: aPseudonym,
		text:   func(r *Record) string { return r.ExternalIDHMAC },
		Search: Search{By: "external-id", Value: "ID", Help: ofPerson, Pseudonym: KindExternalID},
	},
	{
		Name: "email_hmac", Bound: maxName, Schema: aPseudonym,
		text:   func(r *Record) string { return r.EmailHMAC },
		Search: Search{By: "email", Value: "EMAIL", Help: ofPerson, Pseudonym: KindEmail},
	},
	{
		Name: "identifier", Bound: maxName, Column: Column{7, 11}, text: func(r *Record) string { return r.Identifier },
		Doc: "The identifier that the token logs in with.",
	},
	{
		Name: "iat", number: func(r *Record) int64 { return r.IssuedAt },
		Schema: `"type": "integer"`,
		Doc:    "Issue time of the token, seconds since the epoch.",
	},
	{Name: "verdict", Bound: maxName, text: func(r *Record) string { return r.Verdict }},
	{
		Name: "limit", Bound: maxName, Column: Column{5, 15}, text: func(r *Record) string { return r.Limit },
		Doc: "The rate limit that refused or, in shadow mode, would have.",
	},
	{
		Name: "caller", Bound: 512, Column: Column{8, 20}, text: func(r *Record) string { return r.Caller },
		Search: Search{
			By: "caller", Value: "NAME", Help: "Records of this caller, such as loopback or uid:1000.",
			Form:    `^(\*|loopback|remote|uid:[0-9]+|(token|certificate):.+)$`,
			Expects: "loopback, uid:N, token:NAME or certificate:NAME",
		},
		Doc: `Who called; "*" in a calls.refused record that counts several.`,
	},
	{Name: "peer", Bound: 256, text: func(r *Record) string { return r.Peer }},
	{
		Name: "request_id", Bound: maxRequestID, text: (*Record).requestID,
		Search: Search{
			By: "request-id", Value: "ID", Help: "Records of the request with this x-request-id.",
			Form: `^[A-Za-z0-9._:-]{1,128}$`, Expects: "1 to 128 letters, digits, dots, underscores, colons and hyphens",
		},
		Schema: `"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,128}$"`,
	},
	{
		Name: "trace_id", Bound: maxName, text: func(r *Record) string { return r.TraceID },
		Search: Search{
			By: "trace-id", Value: "ID", Help: "Records of this trace.",
			Form: `^[0-9a-f]{32}$`, Expects: "32 hexadecimal digits in lower case",
		},
	},
	{
		Name: TokenSHA256, Bound: maxName, Schema: isSHA256,
		text:   func(r *Record) string { return r.TokenSHA256 },
		Search: Search{By: "token", Value: "-", Help: "Records of the token on standard input."},
		Doc:    "SHA-256 of the token's characters.",
	},
	{
		Name: "secret_id", Bound: maxName, text: func(r *Record) string { return r.SecretID },
		Doc: "One-way fingerprint of the signing secret.",
	},
	{
		Name: "summarized_event", Bound: maxName, text: func(r *Record) string { return string(r.Summarized) },
		Schema: oneOf(callEvents),
		Doc:    "Of calls.refused: the event of the calls it counts.",
	},
	{
		Name: "count", Column: Column{9, 6}, number: func(r *Record) int64 { return int64(min(r.Count, 1<<62)) },
		Doc: "Of calls.refused: how many calls it stands for; of copy.gap, how many records the copy lacks.",
	},
	{
		Name: "duration_us", Always: true, number: func(r *Record) int64 { return max(r.Duration.Microseconds(), 0) },
		Schema: `"type": "integer", "minimum": 0`,
		Doc: "Microseconds that the call took before its record was written; " +
			"of calls.refused, from its first call to its last.",
	},
	{
		Name: "dropped", Schema: positive,
		Doc: "Records that were lost before this one because the sink did not take them.",
	},
	{
		Name: "key_id", Always: true, Schema: `"type": "string", "pattern": "^(ephemeral-)?[0-9a-f]{16}$"`,
		Doc: "Fingerprint of the audit key; ephemeral-: made for one process.",
	},
	{Name: "mac", Always: true, Schema: isSHA256},
})

// oneOf returns the JSON Schema of a field that holds one of the events.
func oneOf(events []Event) string {
	quoted := make([]string, len(events))
	for i, event := range events {
		quoted[i] = strconv.Quote(string(event))
	}
	return `"enum": [` + strings.Join(quoted, ", ") + `]`
}

// withKeys fills in what is written before each value.
func withKeys(fields []Field) []Field {
	for i := range fields {
		f := &fields[i]
		f.key = `,"` + f.Name + `":`
		if f.number == nil {
			f.key += `"`
		}
	}
	return fields
}
