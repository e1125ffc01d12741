package kustomer

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

// How the values are read is retry's to test.
func TestRetryAfterReadsTheVendorsHeaders(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name              string
		status            int
		retryAfter, reset string
		want              time.Duration
	}{
		{"Retry-After first", 429, "7", "30", 7 * time.Second},
		{"nonsense, then reset", 429, "soon", "30", 30 * time.Second},
		{"reset far away", 429, "", "86400", 5 * time.Minute},
		{"503 with Retry-After", 503, "7", "", 7 * time.Second},
		{"the budget is no matter of a 503", 503, "", "30", 0},
	} {
		header := http.Header{"Retry-After": {test.retryAfter}, "X-Ratelimit-Reset": {test.reset}}
		if got := retryAfter(header, test.status, time.Unix(1_800_000_000, 0)); got != test.want {
			t.Errorf("%s: retryAfter() = %s, want %s", test.name, got, test.want)
		}
	}
}

// Whatever the body: no panic, and a secret only if it is the one that was sent, to the byte.
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
		`{"errors":[{"title":"` + strings.Repeat("é", 1000) + `"}]}`:                             ", " + strings.Repeat("é", 120) + "...",
	} {
		if got := vendorError([]byte(body), sensitive.New("key-canary")); got != want {
			t.Errorf("vendorError(%s) = %q, want %q", body, got, want)
		}
	}
}

// Whenever in the round trip the server looked at its clock, the truth lies between the bounds; and
// a far-off clock is not taken for a right one.
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

// What net/http says may quote the server, which may repeat the secret; ours never does.
func TestAFailureIsInOurOwnWords(t *testing.T) {
	t.Parallel()
	client := Client{options: Options{Timeout: 10 * time.Second}}
	for cause, want := range map[error]string{
		errors.New("malformed HTTP response \"canary\""): "host: what came back is not a valid HTTP answer",
		io.ErrUnexpectedEOF: "host: the connection was closed before the answer was complete",
	} {
		if got := client.failed(t.Context(), "host", &url.Error{Op: "Get", URL: "https://host/", Err: cause}); got.Error() != want {
			t.Errorf("failed(%v) = %q, want %q", cause, got, want)
		}
	}
}
