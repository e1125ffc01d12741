package kustomer

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

// RolesNeeded are the roles that an API key needs to read the secret.
const RolesNeeded = "org.admin and org.user"

// Kind says what went wrong, as a metric label.
type Kind string

// The kinds of failure.
const (
	KindKey         Kind = "key"          // the API key cannot be read or used, so nothing was sent
	KindNetwork     Kind = "network"      // no complete answer came
	KindRefused     Kind = "refused"      // 401, 403: the key is not good enough
	KindRateLimited Kind = "rate_limited" // 429
	KindServer      Kind = "server"       // 5xx
	KindStatus      Kind = "status"       // any other status than 200, redirects among them
	KindAnswer      Kind = "answer"       // 200, but the body is not what it should be
)

// Kinds are all kinds of failure.
func Kinds() []Kind {
	return []Kind{KindKey, KindNetwork, KindRefused, KindRateLimited, KindServer, KindStatus, KindAnswer}
}

// Error is why Kustomer gave no usable answer. Its text names the host, the status and what to do.
// Of the answer it contains only the vendor's error code and title, bounded and made printable, and
// never the API key or the secret.
type Error struct {
	Kind Kind
	// Host is the host that was asked; empty if nothing was sent.
	Host string
	// Status is the HTTP status; 0 when there was none.
	Status int
	// RetryAfter is how long Kustomer asks us to wait, at most 5 minutes; 0 if it does not say.
	RetryAfter time.Duration

	explanation string
	cause       error
}

// Error explains the failure in one line.
func (e *Error) Error() string {
	text := e.explanation
	if e.Host != "" {
		text = e.Host + ": " + text
	}
	if e.cause != nil {
		text += ": " + e.cause.Error()
	}
	return text
}

// Unwrap returns the cause, if another package reported it.
func (e *Error) Unwrap() error { return e.cause }

// Temporary reports whether the same request may succeed later without any change: after network
// errors, 429 and 5xx.
func (e *Error) Temporary() bool {
	return e.Kind == KindNetwork || e.Kind == KindRateLimited || e.Kind == KindServer
}

// refusal is the error for an answer that is not 200.
func refusal(response *http.Response, body []byte, key sensitive.String, now time.Time) *Error {
	status := response.StatusCode
	failure := &Error{Host: response.Request.URL.Host, Status: status}
	said := vendorError(body, key)
	switch {
	case status == http.StatusUnauthorized:
		failure.Kind = KindRefused
		failure.explanation = "Kustomer does not know the API key (401" + said +
			"): it is wrong, expired or deleted; create one with the roles " + RolesNeeded
	case status == http.StatusForbidden:
		failure.Kind = KindRefused
		failure.explanation = "the API key may not do this (403" + said + "): it needs the roles " + RolesNeeded
	case status == http.StatusTooManyRequests:
		failure.Kind = KindRateLimited
		failure.explanation = "the organization's API budget for this minute is spent (429" + said + ")"
	case status >= http.StatusInternalServerError:
		failure.Kind = KindServer
		failure.explanation = fmt.Sprintf("Kustomer reports a server error (%d%s)", status, said)
	case status >= http.StatusMultipleChoices && status < http.StatusBadRequest:
		failure.Kind = KindStatus
		failure.explanation = fmt.Sprintf("it redirects to another place (%d), which is refused "+
			"because the API key must not travel; check the API's URL", status)
	default:
		failure.Kind = KindStatus
		failure.explanation = fmt.Sprintf("unexpected status %d%s; check the API's URL and the organization", status, said)
	}
	if failure.Temporary() {
		failure.RetryAfter = retryAfter(response.Header, status, now)
	}
	return failure
}

// unusable is the error for a 200 response without the expected content.
func (a answer) unusable(err error) *Error {
	explanation := err.Error()
	if strings.Contains(strings.ToLower(a.contentType), "html") {
		explanation = "the answer is a web page, not the API's: check the API's URL"
	}
	return &Error{Kind: KindAnswer, Host: a.host, Status: http.StatusOK, explanation: explanation}
}
