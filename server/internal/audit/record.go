// Package audit is the format of the audit log: what a record holds, how it is written as a line,
// the chain that makes edits visible, and the keys of the chain and of the pseudonyms. Package
// audit/writer writes logs, audit/reader verifies and searches them. docs/audit.md says what the
// chain proves and what it does not.
package audit

// Version is the `v` of every record: the version of docs/audit-record.schema.json.
const Version = 1

// MaxLine is the most bytes that a record takes, including its newline.
const MaxLine = 4096

// Event says what a record is about.
type Event string

// The events. The log itself makes the last three.
const (
	EventIssue   Event = "token.issue"
	EventVerify  Event = "token.verify"
	EventRefused Event = "calls.refused" // the rest of a second's similar calls, as one record with a count
	EventStart   Event = "chain.start"   // a process begins to write
	EventCopyGap Event = "copy.gap"      // records are missing from the copy, before this one
)

// callEvents lists the events of calls, one for each RPC.
var callEvents = []Event{EventIssue, EventVerify}

// OutcomeOK is the outcome of a call that was answered; the others are gRPC codes in capitals.
const OutcomeOK = "OK"

// The outcome and reason of a call that is refused because its record was not taken.
const (
	OutcomeUnavailable = "UNAVAILABLE"
	ReasonUnavailable  = "AUDIT_UNAVAILABLE"
)

// CarriesToken reports whether the reply to this call holds a token: the reply must then wait for
// the record, which is never summarized.
func (r *Record) CarriesToken() bool {
	return r.Event == EventIssue && r.Outcome == OutcomeOK
}

// outcome is the outcome that is written.
func (r *Record) outcome() string {
	if r.Outcome == "" {
		return "UNKNOWN" // nobody filled it in
	}
	return r.Outcome
}

// requestID is the request ID, or nothing if it is not one that the log takes from a caller.
func (r *Record) requestID() string {
	if len(r.RequestID) > maxRequestID {
		return ""
	}
	for i := range len(r.RequestID) {
		c := r.RequestID[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		digit := c >= '0' && c <= '9'
		if !letter && !digit && c != '.' && c != '_' && c != ':' && c != '-' {
			return ""
		}
	}
	return r.RequestID
}
