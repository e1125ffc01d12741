package audit

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// Bounds of the texts in a line, in bytes as they stand there, escapes
// included. Their sum, the keys and the numbers stay under MaxLine whatever
// the fields hold; TestEncodeWorstCase checks it.
const (
	maxName    = 64  // names, codes, digests
	maxOrg     = 256 // organization, instance
	maxPeer    = 256
	maxCaller  = 512
	maxRequest = 128
	truncated  = "…"
	timeFormat = "2006-01-02T15:04:05.000000000Z" // RFC 3339, nanoseconds always nine digits
)

// RecordStart is how every line begins.
const RecordStart = `{"v":1,"seq":`

// AppendBody appends the part of a line that does not depend on its place in
// the chain: everything from the time to before key_id.
func AppendBody(b []byte, r *Record, instance string) []byte {
	b = append(b, `,"time":"`...)
	b = AppendTime(b, r.Time)
	b = append(b, '"')
	b = appendText(b, `,"instance":"`, instance, maxOrg)
	b = appendText(b, `,"audit_id":"`, r.AuditID, maxName)
	b = appendText(b, `,"event":"`, string(r.Event), maxName)
	b = appendText(b, `,"outcome":"`, r.outcome(), maxName)
	b = appendText(b, `,"reason":"`, r.Reason, maxName)
	b = appendText(b, `,"organization":"`, r.Organization, maxOrg)
	b = appendText(b, `,"external_id_hmac":"`, r.ExternalIDHMAC, maxName)
	b = appendText(b, `,"email_hmac":"`, r.EmailHMAC, maxName)
	b = appendText(b, `,"identifier":"`, r.Identifier, maxName)
	b = appendInt(b, `,"iat":`, r.IssuedAt)
	b = appendText(b, `,"verdict":"`, r.Verdict, maxName)
	b = appendText(b, `,"limit":"`, r.Limit, maxName)
	b = appendText(b, `,"caller":"`, r.Caller, maxCaller)
	b = appendText(b, `,"peer":"`, r.Peer, maxPeer)
	if isRequestID(r.RequestID) {
		b = appendText(b, `,"request_id":"`, r.RequestID, maxRequest)
	}
	b = appendText(b, `,"trace_id":"`, r.TraceID, maxName)
	b = appendText(b, `,"token_sha256":"`, r.TokenSHA256, maxName)
	b = appendText(b, `,"secret_id":"`, r.SecretID, maxName)
	b = appendText(b, `,"summarized_event":"`, string(r.Summarized), maxName)
	b = appendInt(b, `,"count":`, int64(min(r.Count, 1<<62)))
	b = append(b, `,"duration_us":`...)
	return strconv.AppendInt(b, max(r.Duration.Microseconds(), 0), 10)
}

func (r *Record) outcome() string {
	if r.Outcome == "" {
		return outcomeUnknown
	}
	return r.Outcome
}

// AppendTime keeps the year within the four digits that RFC 3339 knows.
func AppendTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	if y := t.Year(); y < 0 || y > 9999 {
		t = time.Time{}
	}
	return t.AppendFormat(b, timeFormat)
}

func appendInt(b []byte, key string, n int64) []byte {
	if n == 0 {
		return b
	}
	return strconv.AppendInt(append(b, key...), n, 10)
}

// appendText appends key, s in JSON and the closing quote, at most limit bytes
// between the quotes. An empty s appends nothing.
func appendText(b []byte, key, s string, limit int) []byte {
	if s == "" {
		return b
	}
	b = append(b, key...)
	if len(s) <= limit && isPlain(s) {
		b = append(b, s...)
		return append(b, '"')
	}
	return append(appendEscaped(b, s, limit), '"')
}

func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// appendEscaped appends s escaped; what would pass limit bytes is cut off at a
// character and marked.
func appendEscaped(b []byte, s string, limit int) []byte {
	start, cut := len(b), len(b)
	for _, r := range s { // bytes that are no UTF-8 come out as U+FFFD
		b = appendRune(b, r)
		if len(b)-start > limit {
			return append(b[:cut], truncated...)
		}
		if len(b)-start <= limit-len(truncated) {
			cut = len(b)
		}
	}
	return b
}

// appendRune escapes, beyond what JSON demands, every character that some
// reader takes for the end of a line.
func appendRune(b []byte, r rune) []byte {
	switch {
	case r == '"' || r == '\\':
		return append(b, '\\', byte(r))
	case r < ' ' || (r >= 0x7f && r <= 0x9f) || r == 0x2028 || r == 0x2029:
		const hex = "0123456789abcdef"
		return append(b, '\\', 'u', hex[r>>12&0xf], hex[r>>8&0xf], hex[r>>4&0xf], hex[r&0xf])
	default:
		return utf8.AppendRune(b, r)
	}
}

// isRequestID reports whether s is what the log accepts from a caller as an
// identifier of its request.
func isRequestID(s string) bool {
	if s == "" || len(s) > maxRequest {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		digit := c >= '0' && c <= '9'
		if !letter && !digit && c != '.' && c != '_' && c != ':' && c != '-' {
			return false
		}
	}
	return true
}
