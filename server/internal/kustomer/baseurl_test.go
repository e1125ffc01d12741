package kustomer_test

import (
	"strings"
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/kustomer"
)

func TestParseBaseURL(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ url, organization, want, says string }{
		{kustomer.DefaultBaseURL, "acme", "https://acme.api.kustomerapp.com", ""},
		{kustomer.DefaultBaseURL, "Acme-2", "https://acme-2.api.kustomerapp.com", ""},
		{"https://{organization}.api.prod2.kustomerapp.com/", "acme", "https://acme.api.prod2.kustomerapp.com/", ""},
		{"https://acme.api.prod4.kustomerapp.com", "", "https://acme.api.prod4.kustomerapp.com", ""},
		{"https://gateway.example/kustomer", "", "https://gateway.example/kustomer", ""},
		{"http://127.0.0.1:8080", "", "http://127.0.0.1:8080", ""},
		{"http://[::1]:8080", "", "http://[::1]:8080", ""},
		{"http://localhost", "", "http://localhost", ""},
		{"https://notkustomerapp.com", "", "https://notkustomerapp.com", ""},

		{kustomer.DefaultBaseURL, "", "", "not valid in a host name"},
		{kustomer.DefaultBaseURL, "acme.api", "", "not valid in a host name"},
		{kustomer.DefaultBaseURL, "evil.example/", "", "not valid in a host name"},
		{kustomer.DefaultBaseURL, "-acme", "", "not valid in a host name"},
		{kustomer.DefaultBaseURL, strings.Repeat("a", 64), "", "not valid in a host name"},
		{"https://acme.kustomerapp.com", "", "", "write acme.api.kustomerapp.com"},
		{"https://ACME.kustomerapp.com.", "", "", "write acme.api.kustomerapp.com"},
		{"https://acme.prod2.kustomerapp.com", "", "", "write acme.api.prod2.kustomerapp.com"},
		{"https://{organization}.kustomerapp.com", "acme", "", "write acme.api.kustomerapp.com"},
		{"https://kustomerapp.com", "", "", "write ORGANIZATION.api.kustomerapp.com"},
		{"http://acme.api.kustomerapp.com", "", "", "use https"},
		{"http://127.0.0.1.evil.example", "", "", "use https"},
		{"http://10.0.0.1", "", "", "use https"},
		{"http://localhost.evil.example", "", "", "use https"},
		{"https://user:pass@acme.api.kustomerapp.com", "", "", "must not have"},
		{"https://acme.api.kustomerapp.com?key=x", "", "", "must not have"},
		{"https://acme.api.kustomerapp.com#x", "", "", "must not have"},
		{"acme.api.kustomerapp.com", "", "", "write it like"},
		{"ftp://acme.api.kustomerapp.com", "", "", "write it like"},
		{"https://", "", "", "write it like"},
		{"", "", "", "write it like"},
		{"https://%zz", "", "", "write it like"},
	} {
		got, err := kustomer.ParseBaseURL(test.url, test.organization)
		switch {
		case test.says == "" && (err != nil || got.String() != test.want):
			t.Errorf("ParseBaseURL(%q, %q) = %v, %v; want %s", test.url, test.organization, got, err, test.want)
		case test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)):
			t.Errorf("ParseBaseURL(%q, %q) = %v, %v; want an error with %q", test.url, test.organization, got, err, test.says)
		}
		if err != nil && strings.Contains(err.Error(), "pass") {
			t.Errorf("the error repeats a password: %v", err)
		}
	}
}

// Whatever is given: what is accepted is https, or stays on this machine, and the organization
// cannot change the host that the URL names.
func FuzzParseBaseURL(f *testing.F) {
	f.Add("https://{organization}.api.kustomerapp.com", "acme")
	f.Add("http://127.0.0.1", "x@evil.example")
	f.Fuzz(func(t *testing.T, rawURL, organization string) {
		base, err := kustomer.ParseBaseURL(rawURL, organization)
		if err != nil {
			return
		}
		if base.User != nil || base.Scheme != "https" && base.Scheme != "http" {
			t.Errorf("accepted %s", base)
		}
		fixed, err := kustomer.ParseBaseURL(kustomer.DefaultBaseURL, organization)
		if err == nil && !strings.HasSuffix(fixed.Host, ".api.kustomerapp.com") {
			t.Errorf("the organization %q leads to %s", organization, fixed.Host)
		}
	})
}
