package devweb_test

import (
	"net/http"
	"strings"
	"testing"
)

var posts = []string{"/session", "/session/end", "/chat-token", "/state", "/log-in"}

// Another site in the same browser gets nothing: neither by a name of its own that leads here, nor
// by asking this address.
func TestOtherSitesAreRefused(t *testing.T) {
	t.Parallel()
	home := serve(t, &backend{issue: issues})
	post(t, home+"/session", "external_id=ada")
	for name, test := range map[string]struct {
		host, header, value string
		refused             bool
	}{
		"the page itself":                 {"", "Sec-Fetch-Site", "same-origin", false},
		"the page, in an old browser":     {"", "Origin", home, false},
		"localhost":                       {"localhost:1", "Sec-Fetch-Site", "same-origin", false},
		"IPv6":                            {"[::1]:1", "Sec-Fetch-Site", "same-origin", false},
		"no browser":                      {"", "Accept", "*/*", false},
		"another site":                    {"", "Sec-Fetch-Site", "cross-site", true},
		"another port of this machine":    {"", "Sec-Fetch-Site", "same-site", true},
		"another site, old browser":       {"", "Origin", "http://evil.example", true},
		"another port, old browser":       {"", "Origin", "http://127.0.0.1:1", true},
		"a page without an origin":        {"", "Origin", "null", true},
		"a name that leads here":          {"evil.example", "Sec-Fetch-Site", "same-origin", true},
		"a name with a port":              {"evil.example:80", "Sec-Fetch-Site", "same-origin", true},
		"a name that begins like ours":    {"localhost.evil.example", "Sec-Fetch-Site", "same-origin", true},
		"a name that looks like ours":     {"127.0.0.1.evil.example", "Sec-Fetch-Site", "same-origin", true},
		"another machine":                 {"192.0.2.1", "Sec-Fetch-Site", "same-origin", true},
		"a user before the address":       {"evil.example@127.0.0.1", "Sec-Fetch-Site", "same-origin", true},
		"a name that leads here, no POST": {"evil.example", "", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			method, paths := http.MethodPost, posts
			if test.header == "" {
				method, paths = http.MethodGet, []string{"/", "/page.js", "/chat.js"}
			}
			for _, path := range paths {
				request := newRequest(t, method, home+path, "")
				if test.host != "" {
					request.Host = test.host
				}
				if test.header != "" {
					request.Header.Set(test.header, test.value)
				}
				got := send(t, request)
				if refused := got.status == http.StatusForbidden; refused != test.refused || refused && strings.Contains(got.body, "ada") {
					t.Errorf("%s: %d %s, refused should be %v", path, got.status, got.body, test.refused)
				}
			}
		})
	}
	for _, path := range posts {
		if got := send(t, newRequest(t, http.MethodGet, home+path, "")); got.status != http.StatusMethodNotAllowed {
			t.Errorf("GET %s: %d", path, got.status)
		}
	}
}

// Every answer keeps the page to its own files, and out of frames and caches.
func TestAnswersAreKeptToThemselves(t *testing.T) {
	t.Parallel()
	home := serve(t, &backend{issue: issues})
	for _, path := range []string{"/", "/page.css", "/page.js", "/icon.svg", "/chat.js", "/widget.js", "/nowhere"} {
		got := send(t, newRequest(t, http.MethodGet, home+path, ""))
		for name, want := range map[string]string{
			"Content-Security-Policy":      "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
			"Cross-Origin-Resource-Policy": "same-origin",
			"X-Content-Type-Options":       "nosniff",
			"Cache-Control":                "no-store",
		} {
			if got.header.Get(name) != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got.header.Get(name), want)
			}
		}
		if (got.status == http.StatusOK) == (path == "/nowhere") {
			t.Errorf("%s: %d", path, got.status)
		}
	}
}

// What is too large is refused before it is kept.
func TestLargeBodies(t *testing.T) {
	t.Parallel()
	home := serve(t, &backend{issue: issues})
	large := strings.Repeat("x", 65<<10)
	for path, body := range map[string]string{"/session": "external_id=" + large, "/log-in": large} {
		if got := post(t, home+path, body); got.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	if got := post(t, home+"/state", ""); got.body != `{"user":null}`+"\n" {
		t.Errorf("state %s", got.body)
	}
}
