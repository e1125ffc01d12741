package kustomer

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

func TestRetryAfterIsReadDefensively(t *testing.T) {
	t.Parallel()
	date := time.Unix(1_800_000_000, 0)
	at := func(later time.Duration) string { return date.Add(later).UTC().Format(http.TimeFormat) }
	unix := func(later time.Duration) string { return strconv.FormatInt(date.Add(later).Unix(), 10) }
	milli := func(later time.Duration) string { return strconv.FormatInt(date.Add(later).UnixMilli(), 10) }
	for _, test := range []struct {
		name              string
		status            int
		retryAfter, reset string
		want              time.Duration
	}{
		{"nothing", 429, "", "", 0},
		{"seconds", 429, "7", "", 7 * time.Second},
		{"with space", 429, " 7 ", "", 7 * time.Second},
		{"a moment", 429, at(9 * time.Second), "", 9 * time.Second},
		{"a moment long past", 429, at(-time.Hour), "", 0},
		{"bounded", 429, "86400", "", 5 * time.Minute},
		{"beyond int64", 429, "99999999999999999999", "", 0},
		{"beyond a duration", 429, "999999999", "", 5 * time.Minute},
		{"negative", 429, "-5", "", 0},
		{"text", 429, "soon", "", 0},
		{"a fraction", 429, "1.5", "", 0},
		{"reset in seconds", 429, "", "30", 30 * time.Second},
		{"reset as a moment", 429, "", unix(40 * time.Second), 40 * time.Second},
		{"reset in milliseconds", 429, "", milli(50 * time.Second), 50 * time.Second},
		{"reset past", 429, "", unix(-time.Minute), 0},
		{"reset far away", 429, "", unix(time.Hour), 5 * time.Minute},
		{"reset at the end of time", 429, "", "9223372036854775807", 5 * time.Minute},
		{"Retry-After first", 429, "7", "30", 7 * time.Second},
		{"nonsense, then reset", 429, "soon", "30", 30 * time.Second},
		{"503 with Retry-After", 503, "7", "", 7 * time.Second},
		{"the budget is no matter of a 503", 503, "", "30", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			header := http.Header{"Date": {at(0)}, "Retry-After": {test.retryAfter}, "X-Ratelimit-Reset": {test.reset}}
			// Our own clock is hours off: it must not matter.
			if got := retryAfter(header, test.status, date.Add(-5*time.Hour)); got != test.want {
				t.Errorf("retryAfter() = %s, want %s", got, test.want)
			}
		})
	}
}

func FuzzRetryAfterIsBounded(f *testing.F) {
	f.Add("7", "1800000000", "Fri, 15 Jan 2027 08:00:00 GMT")
	f.Add("-1", "9223372036854775807", "")
	f.Fuzz(func(t *testing.T, after, reset, date string) {
		header := http.Header{"Date": {date}, "Retry-After": {after}, "X-Ratelimit-Reset": {reset}}
		if wait := retryAfter(header, http.StatusTooManyRequests, time.Unix(0, 0)); wait < 0 || wait > maxRetryAfter {
			t.Errorf("retryAfter() = %s", wait)
		}
	})
}

// Whatever the body: no panic, and a secret only if it is the one that was sent,
// to the byte.
func FuzzParseSecret(f *testing.F) {
	f.Add([]byte(`{"data":{"attributes":{"secret":"s"}}}`), "s")
	f.Add([]byte(`{"attributes":{"secret":"\ud800"}}`), "\u2028<&>\"\\")
	f.Add([]byte("{\"attributes\":{\"secret\":\"\xff\"}}"), "é")
	f.Fuzz(func(t *testing.T, body []byte, secret string) {
		if found, err := parseSecret(body); err == nil && (found.IsEmpty() || strings.ContainsRune(found.Reveal(), utf8.RuneError)) {
			t.Error("an empty or inexact secret was accepted")
		}
		if _, known, err := parseRoles(body); known && err != nil {
			t.Error("roles with an error")
		}
		_ = vendorError(body, sensitive.New("key"))
		if secret == "" || !utf8.ValidString(secret) || strings.ContainsRune(secret, utf8.RuneError) {
			return
		}
		for _, shape := range []any{
			map[string]any{"attributes": map[string]string{"secret": secret}},
			map[string]any{"data": map[string]any{"attributes": map[string]string{"secret": secret}}},
		} {
			text, err := json.Marshal(shape)
			if err != nil {
				t.Fatal(err)
			}
			if found, err := parseSecret(text); err != nil || found.Reveal() != secret {
				t.Errorf("parseSecret(%s) gave another secret, %v", text, err)
			}
		}
	})
}

func TestASecretThatCannotBeReadExactlyIsRefused(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"attributes":{"secret":"half a pair \ud800"}}`, "{\"attributes\":{\"secret\":\"not UTF-8 \xff\"}}",
	} {
		if secret, err := parseSecret([]byte(body)); !errors.Is(err, errInexact) || !secret.IsEmpty() {
			t.Errorf("parseSecret(%q) = %v, want %v", body, err, errInexact)
		}
	}
}

func TestVendorErrorsAreReadInBothShapes(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"errors":[{"code":"forbidden","message":"m","meta":{}}]}`:                              ", forbidden",
		`{"errors":[{"status":"403","code":"forbidden","title":"No","detail":"d","source":{}}]}`: ", forbidden, No",
		`{"errors":[{"title":"line\none\u001b[31m"}]}`:                                           ", line?one?[31m",
		`{"errors":[{"code":"key-canary","title":"your key-canary"}]}`:                           "",
		`{"errors":[{"code":"white space"}]}`:                                                    "",
		`{"errors":[{"code":7,"title":{}}]}`:                                                     "",
		`{"errors":[]}`:                                                                          "",
		`{"errors":"none"}`:                                                                      "",
		`<html>`:                                                                                 "",
		`{"errors":[{"title":"` + strings.Repeat("é", 1000) + `"}]}`:                             ", " + strings.Repeat("é", maxQuoted) + "...",
	} {
		if got := vendorError([]byte(body), sensitive.New("key-canary")); got != want {
			t.Errorf("vendorError(%s) = %q, want %q", body, got, want)
		}
	}
}

// Whenever in the round trip the server looked at its clock, the truth lies
// between the bounds; and a far-off clock is not taken for a right one.
func TestClockBoundsHoldTheTruth(t *testing.T) {
	t.Parallel()
	ours := time.Unix(1_800_000_000, 123_456_789)
	for _, truth := range []time.Duration{0, 700 * time.Millisecond, -3 * time.Hour, 45 * time.Second, 300 * time.Second, -301 * time.Second} {
		for _, roundTrip := range []time.Duration{0, 80 * time.Millisecond, 9 * time.Second} {
			for tenth := range 11 {
				looked := ours.Add(roundTrip * time.Duration(tenth) / 10)
				header := http.Header{"Date": {looked.Add(truth).UTC().Format(http.TimeFormat)}}
				clock := readClock(header, ours, ours.Add(roundTrip))
				if !clock.Known || clock.Least > truth || clock.Most < truth || clock.Most-clock.Least > roundTrip+time.Second {
					t.Fatalf("readClock() = %+v for a clock that is %s ahead, round trip %s", clock, truth, roundTrip)
				}
				if apart := clock.Apart(); apart > truth.Abs() || apart < truth.Abs()-roundTrip-time.Second {
					t.Errorf("Apart() = %s for %s, round trip %s", apart, truth, roundTrip)
				}
			}
		}
	}
}

func TestOnlyAFreshAnswerTellsTheTime(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	date := now.UTC().Format(http.TimeFormat)
	for name, header := range map[string]http.Header{
		"cached":          {"Date": {date}, "Age": {"0"}},
		"no date":         {},
		"a date of sorts": {"Date": {"yesterday"}},
	} {
		if clock := readClock(header, now, now); clock != (Clock{}) || clock.Apart() != 0 {
			t.Errorf("%s: readClock() = %+v, want nothing", name, clock)
		}
	}
	if clock := readClock(http.Header{"Date": {date}}, now, now.Add(-time.Second)); clock.Known {
		t.Error("a round trip of less than nothing told the time")
	}
}

// What net/http says may quote the server; ours never does.
func TestTransportErrorsAreInOurOwnWords(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err  error
		want string
	}{
		{&net.DNSError{Err: "no such host", Name: "acme.invalid"}, "the host name cannot be resolved (no such host)"},
		{&net.DNSError{Err: "i/o timeout", IsTimeout: true}, "no whole answer within 10s"},
		{context.DeadlineExceeded, "no whole answer within 10s"},
		{&net.OpError{Op: "read", Err: syscall.ECONNRESET}, "connection reset by peer"},
		{tls.AlertError(40), "the TLS handshake failed (tls: handshake failure)"},
		{io.ErrUnexpectedEOF, "the connection was closed before the answer was whole"},
		{errors.New("malformed HTTP response \"canary\""), "what came back is not a valid HTTP answer"},
	} {
		err := &url.Error{Op: "Get", URL: "https://host/", Err: test.err}
		if got := explainTransport(err, 10*time.Second); got != test.want {
			t.Errorf("explainTransport(%v) = %q, want %q", test.err, got, test.want)
		}
	}
}
