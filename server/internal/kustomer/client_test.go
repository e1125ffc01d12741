package kustomer_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/kustomer"
	"github.com/chatidentity/chatidentity/server/internal/kustomer/standin"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

const (
	apiKey    = "canary-api-key-0123456789abcdef"
	secret    = "canary-secret-0123456789abcdef-é-<&>"
	canary    = "canary"
	maxError  = 600 // characters: one line of a log
	noTimeout = 30 * time.Second
)

func TestSettingsReadsBothShapes(t *testing.T) {
	t.Parallel()
	for _, behaviour := range []standin.Behaviour{standin.Normal, standin.BareAttributes} {
		t.Run(string(behaviour), func(t *testing.T) {
			t.Parallel()
			vendor := standin.New(standin.Options{APIKey: apiKey, Secret: secret})
			vendor.SetBehaviour(behaviour)
			answer, err := clientOf(t, vendor, noTimeout).Settings(t.Context())
			if err != nil || answer.Secret.Reveal() != secret {
				t.Fatalf("Settings() = %v, %v; want the stand-in's secret", answer, err)
			}
			if apart := answer.Clock.Apart(); !answer.Clock.Known || apart > time.Second {
				t.Errorf("Clock = %+v, want one that agrees with ours", answer.Clock)
			}
		})
	}
}

// What goes out is a GET of one of two paths with the documented headers.
func TestRequestsAreTheDocumentedOnes(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var seen []*http.Request
	vendor := standin.New(standin.Options{APIKey: apiKey, Secret: secret})
	client := clientOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, r)
		vendor.ServeHTTP(w, r)
	}), noTimeout)
	if _, err := client.Settings(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CurrentUser(t.Context()); err != nil {
		t.Fatal(err)
	}
	paths := []string{"/v1/auth/customer/settings", "/v1/users/current"}
	if len(seen) != len(paths) {
		t.Fatalf("%d requests, want %d", len(seen), len(paths))
	}
	for index, path := range paths {
		r := seen[index]
		if r.Method != http.MethodGet || r.URL.Path != path || r.ContentLength != 0 {
			t.Errorf("request %s %s with %d bytes, want GET %s without a body", r.Method, r.URL.Path, r.ContentLength, path)
		}
		if r.Header.Get("Authorization") != "Bearer "+apiKey || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("headers %v, want the documented Authorization and Content-Type", r.Header)
		}
	}
}

// However the vendor lies, the client says what is wrong in one bounded line and never repeats a
// value.
func TestEveryFailureIsExplainedAndKeepsValuesIn(t *testing.T) {
	t.Parallel()
	want := map[standin.Behaviour]struct {
		kind kustomer.Kind
		says string
	}{
		standin.RateLimited:      {kustomer.KindRateLimited, "budget for this minute is spent (429, too_many_requests)"},
		standin.RetryAfter:       {kustomer.KindRateLimited, "Too Many Requests"},
		standin.ServerError:      {kustomer.KindServer, "a server error (500, internal_error, Internal Server Error)"},
		standin.Unavailable:      {kustomer.KindServer, "a server error (503)"},
		standin.Slow:             {kustomer.KindNetwork, "no complete answer within"},
		standin.SlowBody:         {kustomer.KindNetwork, "no complete answer within"},
		standin.HangUp:           {kustomer.KindNetwork, "closed before the answer was complete"},
		standin.Truncated:        {kustomer.KindNetwork, "closed before the answer was complete"},
		standin.TruncatedJSON:    {kustomer.KindAnswer, "not the expected JSON"},
		standin.Garbage:          {kustomer.KindNetwork, "not a valid HTTP answer"},
		standin.HTML:             {kustomer.KindAnswer, "a web page, not the API's"},
		standin.Empty:            {kustomer.KindAnswer, "not the expected JSON"},
		standin.EmptySecret:      {kustomer.KindAnswer, "secret is empty"},
		standin.Huge:             {kustomer.KindAnswer, "larger than 64 KiB"},
		standin.WrongType:        {kustomer.KindAnswer, "no attributes.secret that is text"},
		standin.Null:             {kustomer.KindAnswer, "no attributes"},
		standin.NoSecret:         {kustomer.KindAnswer, "no attributes.secret that is text"},
		standin.NotUnicode:       {kustomer.KindAnswer, "not valid Unicode"},
		standin.OtherHost:        {kustomer.KindStatus, "the API key must not travel"},
		standin.RedirectLoop:     {kustomer.KindStatus, "redirects to another place (307)"},
		standin.Refused:          {kustomer.KindRefused, "org.admin and org.user"},
		standin.LeakyError:       {kustomer.KindStatus, "unexpected status 400"},
		standin.UnexpectedStatus: {kustomer.KindStatus, "unexpected status 204"},
	}
	for _, behaviour := range standin.Failing() {
		t.Run(string(behaviour), func(t *testing.T) {
			t.Parallel()
			vendor := standin.New(standin.Options{APIKey: apiKey, Secret: secret})
			vendor.SetBehaviour(behaviour)
			timeout := noTimeout
			if behaviour == standin.Slow || behaviour == standin.SlowBody {
				timeout = 200 * time.Millisecond
			}
			answer, err := clientOf(t, vendor, timeout).Settings(t.Context())
			failure, ok := errors.AsType[*kustomer.Error](err)
			if !ok {
				t.Fatalf("Settings() = %v, %v; want an *Error", answer, err)
			}
			expected, listed := want[behaviour]
			if !listed || failure.Kind != expected.kind || !strings.Contains(err.Error(), expected.says) {
				t.Errorf("error of kind %q: %q; want %q with %q", failure.Kind, err, expected.kind, expected.says)
			}
			temporary := failure.Kind == kustomer.KindNetwork || failure.Kind == kustomer.KindServer || failure.Kind == kustomer.KindRateLimited
			if failure.Temporary() != temporary {
				t.Errorf("Temporary() = %t for kind %q", failure.Temporary(), failure.Kind)
			}
			if text := err.Error(); strings.Contains(text, canary) || len(text) > maxError || strings.ContainsAny(text, "\r\n") {
				t.Errorf("the error holds a value, or is not one bounded line: %q", text)
			}
			if requests := vendor.Requests(); requests != 1 && behaviour != standin.RedirectLoop {
				t.Errorf("one call made %d requests", requests)
			}
		})
	}
}

func TestTheKeyDoesNotTravelToAnotherHost(t *testing.T) {
	t.Parallel()
	var visited bool
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visited = true }))
	defer elsewhere.Close()
	client := clientOf(t, http.RedirectHandler(elsewhere.URL, http.StatusMovedPermanently), noTimeout)
	if _, err := client.Settings(t.Context()); err == nil || visited {
		t.Errorf("Settings() = %v and the other host was visited: %t; want an error and no visit", err, visited)
	}
}

func TestARedirectOnTheSameHostIsFollowed(t *testing.T) {
	t.Parallel()
	vendor := standin.New(standin.Options{APIKey: apiKey, Secret: secret})
	client := clientOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery == "" {
			http.Redirect(w, r, r.URL.Path+"?again", http.StatusFound)
			return
		}
		vendor.ServeHTTP(w, r)
	}), noTimeout)
	if answer, err := client.Settings(t.Context()); err != nil || answer.Secret.Reveal() != secret {
		t.Errorf("Settings() = %v, %v; want the secret", answer, err)
	}
}

func TestMissingRolesAreNamed(t *testing.T) {
	t.Parallel()
	vendor := standin.New(standin.Options{APIKey: apiKey, Secret: secret, Roles: []string{"org.user"}})
	client := clientOf(t, vendor, noTimeout)
	_, err := client.Settings(t.Context())
	if failure, ok := errors.AsType[*kustomer.Error](err); !ok || failure.Status != http.StatusForbidden ||
		!strings.Contains(err.Error(), "org.admin and org.user") {
		t.Errorf("error %v, want a 403 that names the roles", err)
	}
	user, err := client.CurrentUser(t.Context())
	if err != nil || !user.RolesKnown || len(user.Roles) != 1 || user.Roles[0] != "org.user" {
		t.Errorf("CurrentUser() = %+v, %v; want the role org.user", user, err)
	}
}

func TestRolesThatCannotBeReadAreNotKnown(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{}`, `null`, `[]`, `{"data":{"attributes":{}}}`, `{"data":{"attributes":{"roles":"org.admin"}}}`,
		`{"data":[{"attributes":{"roles":["org.admin"]}}]}`, `{"data":{"attributes":{"roles":null}}}`,
	} {
		user, err := clientOf(t, answering(body), noTimeout).CurrentUser(t.Context())
		if err != nil || user.RolesKnown || len(user.Roles) != 0 {
			t.Errorf("CurrentUser() of %s = %+v, %v; want no roles and no error", body, user, err)
		}
	}
	_, err := clientOf(t, answering("<html>"), noTimeout).CurrentUser(t.Context())
	if failure, ok := errors.AsType[*kustomer.Error](err); !ok || failure.Kind != kustomer.KindAnswer {
		t.Errorf("CurrentUser() of a page: %v, want an error", err)
	}
}

func key() (sensitive.String, error) { return sensitive.New(apiKey), nil }

func answering(body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) })
}

func start(t *testing.T, vendor http.Handler) string {
	t.Helper()
	server := httptest.NewServer(vendor)
	t.Cleanup(server.Close)
	return server.URL
}

func clientOf(t *testing.T, vendor http.Handler, timeout time.Duration) *kustomer.Client {
	t.Helper()
	return newClient(t, start(t, vendor), kustomer.Options{APIKey: key, Timeout: timeout})
}

func newClient(t *testing.T, address string, options kustomer.Options) *kustomer.Client {
	t.Helper()
	base, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	options.BaseURL = base
	client, err := kustomer.NewClient(options)
	if err != nil {
		t.Fatal(err)
	}
	return client
}
