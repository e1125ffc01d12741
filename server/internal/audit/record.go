// Package audit is the format of the audit log: what a record holds, how it is written as a line,
// the chain that makes edits visible, and the keys of the chain and of the pseudonyms. Package
// audit/writer writes logs, audit/reader verifies and searches them. docs/audit.md says what the
// chain proves and what it does not.
package audit

import "time"

// Version is the `v` of every record: the version of docs/audit-record.schema.json.
const Version = 1

// MaxLine is the most bytes that a record takes, including its newline.
const MaxLine = 4096

// Event says what a record is about.
type Event string

// The events. The log itself makes EventRefused and EventStart.
const (
	EventIssue   Event = "token.issue"
	EventVerify  Event = "token.verify"
	EventRefused Event = "calls.refused" // the rest of a second's similar calls, as one record with a count
	EventStart   Event = "chain.start"   // a process begins to write
)

// OutcomeOK is the outcome of a call that was answered; the others are gRPC codes in capitals.
const OutcomeOK = "OK"

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
	Reason         string // name of the ErrorReason; of a chain.start, why
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
	Count          uint64        // of a calls.refused: how many calls it stands for
	Duration       time.Duration // written in whole microseconds; of a calls.refused, from its first call to its last
}

// CarriesToken reports whether the reply to this call holds a token: the reply must then wait for
// the record, which is never summarized.
func (r *Record) CarriesToken() bool {
	return r.Event == EventIssue && r.Outcome == OutcomeOK
}
