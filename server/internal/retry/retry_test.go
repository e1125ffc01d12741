package retry_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/retry"
)

func TestPauseDoublesAndIsBounded(t *testing.T) {
	t.Parallel()
	minute := retry.Doubling{First: time.Second, Longest: time.Minute}
	for _, test := range []struct {
		pauses   retry.Doubling
		failures int
		asked    time.Duration
		want     time.Duration
	}{
		{minute, 0, 0, time.Second},
		{minute, 1, 0, time.Second},
		{minute, 2, 0, 2 * time.Second},
		{minute, 3, 0, 4 * time.Second},
		{minute, 6, 0, 32 * time.Second},
		{minute, 7, 0, time.Minute},
		{minute, 8, 0, time.Minute},
		{minute, 1 << 40, 0, time.Minute},
		{minute, 1, 45 * time.Second, 45 * time.Second},
		{minute, 7, 45 * time.Second, time.Minute},
		{minute, 7, 5 * time.Minute, 5 * time.Minute},
		{retry.Doubling{First: 100 * time.Millisecond, Longest: 5 * time.Second}, 6, 0, 3200 * time.Millisecond},
		{retry.Doubling{First: 100 * time.Millisecond, Longest: 5 * time.Second}, 7, 0, 5 * time.Second},
		{retry.Doubling{First: time.Minute, Longest: time.Second}, 1, 0, time.Second},
		{retry.Doubling{First: 1, Longest: 1 << 62}, 100, 0, 1 << 62},
		{retry.Doubling{}, 3, 0, 0},
	} {
		least := test.pauses.Pause(test.failures, test.asked, 0)
		most := test.pauses.Pause(test.failures, test.asked, 0.999)
		if least != test.want || most < test.want || most > test.want+test.want/2 {
			t.Errorf("%+v: pauses of %s to %s, want %s and up to half as much again", test, least, most, test.want)
		}
	}
}

func TestAfterIsReadDefensively(t *testing.T) {
	t.Parallel()
	date := time.Unix(1_800_000_000, 0)
	at := func(later time.Duration) string { return date.Add(later).UTC().Format(http.TimeFormat) }
	unix := func(later time.Duration) string { return strconv.FormatInt(date.Add(later).Unix(), 10) }
	milli := func(later time.Duration) string { return strconv.FormatInt(date.Add(later).UnixMilli(), 10) }
	for _, test := range []struct {
		name         string
		first, other string
		want         time.Duration
	}{
		{"nothing", "", "", 0},
		{"seconds", "7", "", 7 * time.Second},
		{"with space", " 7 ", "", 7 * time.Second},
		{"a moment", at(9 * time.Second), "", 9 * time.Second},
		{"a moment long past", at(-time.Hour), "", 0},
		{"bounded", "86400", "", retry.MaxAfter},
		{"beyond int64", "99999999999999999999", "", 0},
		{"beyond a duration", "999999999", "", retry.MaxAfter},
		{"negative", "-5", "", 0},
		{"text", "soon", "", 0},
		{"a fraction", "1.5", "", 0},
		{"other in seconds", "", "30", 30 * time.Second},
		{"other as a moment", "", unix(40 * time.Second), 40 * time.Second},
		{"other in milliseconds", "", milli(50 * time.Second), 50 * time.Second},
		{"other past", "", unix(-time.Minute), 0},
		{"other far away", "", unix(time.Hour), retry.MaxAfter},
		{"other at the end of time", "", "9223372036854775807", retry.MaxAfter},
		{"the first one counts", "7", "30", 7 * time.Second},
		{"nonsense, then another", "soon", "30", 30 * time.Second},
	} {
		header := http.Header{"Date": {at(0)}, "Retry-After": {test.first}, "X-Ratelimit-Reset": {test.other}}
		// Our own clock is hours off: it must not matter.
		if got := retry.After(header, date.Add(-5*time.Hour), "Retry-After", "X-Ratelimit-Reset"); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
		if got := retry.After(header, date, "Retry-After"); test.first == "" && got != 0 {
			t.Errorf("%s: a header that was not named counted as %s", test.name, got)
		}
	}
	undated := http.Header{"Retry-After": {at(9 * time.Second)}}
	if got := retry.After(undated, date, "Retry-After"); got != 9*time.Second {
		t.Errorf("without a Date: %s, want 9s", got)
	}
}

func FuzzAfterIsBounded(f *testing.F) {
	f.Add("7", "1800000000", "Fri, 15 Jan 2027 08:00:00 GMT")
	f.Add("-1", "9223372036854775807", "")
	f.Fuzz(func(t *testing.T, after, reset, date string) {
		header := http.Header{"Date": {date}, "Retry-After": {after}, "X-Ratelimit-Reset": {reset}}
		wait := retry.After(header, time.Unix(0, 0), "Retry-After", "X-Ratelimit-Reset")
		if wait < 0 || wait > retry.MaxAfter {
			t.Errorf("After() = %s", wait)
		}
	})
}

// What a library says may quote the server, which may repeat a secret; Explain never does.
func TestTransportErrorsAreInOurOwnWords(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err  error
		want string
	}{
		{&net.DNSError{Err: "no such host", Name: "acme.invalid"}, "the host name cannot be resolved (no such host)"},
		{&net.DNSError{Err: "i/o timeout", IsTimeout: true}, "no complete answer within 10s"},
		{context.DeadlineExceeded, "no complete answer within 10s"},
		{os.ErrDeadlineExceeded, "no complete answer within 10s"},
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, "connection refused"},
		{&net.OpError{Op: "read", Err: syscall.ECONNRESET}, "connection reset by peer"},
		{
			&tls.CertificateVerificationError{Err: x509.HostnameError{Certificate: &x509.Certificate{DNSNames: []string{"other\n"}}, Host: "acme"}},
			"its TLS certificate is not trusted (x509: certificate is valid for other?, not acme)",
		},
		{http.ErrSchemeMismatch, "it answers plain HTTP where https is expected"},
		{tls.AlertError(40), "the TLS handshake failed (tls: handshake failure)"},
		{io.EOF, "the connection was closed before the answer was complete"},
		{io.ErrUnexpectedEOF, "the connection was closed before the answer was complete"},
		{net.ErrClosed, "the connection was closed before the answer was complete"},
		{errors.New("malformed HTTP response \"canary\""), ""},
	} {
		for _, err := range []error{test.err, fmt.Errorf("wrapped: %w", test.err), &url.Error{Op: "Get", URL: "https://host/", Err: test.err}} {
			if got := retry.Explain(err, 10*time.Second); got != test.want {
				t.Errorf("Explain(%v) = %q, want %q", err, got, test.want)
			}
		}
	}
}

func TestPrintable(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                        "",
		"plain":                   "plain",
		"line\none\u001b[31m":     "line?one?[31m",
		"\xff":                    "\ufffd",
		strings.Repeat("é", 120):  strings.Repeat("é", 120),
		strings.Repeat("é", 1000): strings.Repeat("é", 120) + "...",
	} {
		if got := retry.Printable(text); got != want {
			t.Errorf("Printable(%q) = %q, want %q", text, got, want)
		}
	}
}
