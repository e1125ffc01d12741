package caller_test

import (
	"crypto/x509"
	"net/url"
	"strings"
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/caller"
	"github.com/chatidentity/chatidentity/server/internal/caller/callertest"
)

func TestFromCertificate(t *testing.T) {
	t.Parallel()
	uris := func(texts ...string) []*url.URL {
		var all []*url.URL
		for _, text := range texts {
			uri, err := url.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, uri)
		}
		return all
	}
	for name, test := range map[string]struct {
		uris []*url.URL
		dns  []string
		want string // empty: nobody's
	}{
		"a SPIFFE ID":              {uris("spiffe://example.org/ns/shop/sa/checkout"), nil, "certificate:spiffe://example.org/ns/shop/sa/checkout"},
		"a SPIFFE ID before DNS":   {uris("spiffe://example.org/a"), []string{"b.example"}, "certificate:spiffe://example.org/a"},
		"a DNS name":               {nil, []string{"checkout.shop.svc"}, "certificate:checkout.shop.svc"},
		"a DNS name in capitals":   {nil, []string{"Checkout.Shop.SVC"}, "certificate:checkout.shop.svc"},
		"the first DNS name":       {nil, []string{"a.example", "b.example"}, "certificate:a.example"},
		"another URI, and DNS":     {uris("https://example.org/"), []string{"a.example"}, "certificate:a.example"},
		"no name":                  {nil, nil, ""},
		"another URI alone":        {uris("https://example.org/"), nil, ""},
		"an empty DNS name":        {nil, []string{""}, ""},
		"two SPIFFE IDs":           {uris("spiffe://example.org/a", "spiffe://example.org/b"), nil, ""},
		"a SPIFFE ID and a URI":    {uris("https://example.org/", "spiffe://example.org/b"), nil, ""},
		"a SPIFFE ID with a port":  {uris("spiffe://example.org:1/a"), nil, ""},
		"a SPIFFE ID with a query": {uris("spiffe://example.org/a?b"), nil, ""},
		"a SPIFFE ID with a user":  {uris("spiffe://u@example.org/a"), nil, ""},
		"a SPIFFE ID with no host": {uris("spiffe:///a"), nil, ""},
		"a SPIFFE ID not usable falls back to no DNS name": {uris("spiffe:///a"), []string{"a.example"}, ""},
		"a trust domain in capitals":                       {uris("spiffe://Example.org/a"), nil, ""},
		"a scheme in capitals":                             {uris("SPIFFE://example.org/a"), nil, "certificate:spiffe://example.org/a"}, // as parsed
		"a trust domain alone":                             {uris("spiffe://example.org"), nil, ""},
		"no workload path":                                 {uris("spiffe://example.org/"), nil, ""},
		"a trailing slash":                                 {uris("spiffe://example.org/a/"), nil, ""},
		"an empty segment":                                 {uris("spiffe://example.org/a//b"), nil, ""},
		"a dot segment":                                    {uris("spiffe://example.org/a/./b"), nil, ""},
		"a dot-dot segment":                                {uris("spiffe://example.org/a/../b"), nil, ""},
		"dots in a segment":                                {uris("spiffe://example.org/a/..b"), nil, "certificate:spiffe://example.org/a/..b"},
		"an escaped letter":                                {uris("spiffe://example.org/%61"), nil, ""},
		"an escaped slash":                                 {uris("spiffe://example.org/a%2fb"), nil, ""},
		"a fragment":                                       {uris("spiffe://example.org/a#b"), nil, ""},
		"a wildcard":                                       {nil, []string{"*.shop.svc"}, ""},
		"a trailing dot":                                   {nil, []string{"checkout.shop.svc."}, ""},
		"an empty label":                                   {nil, []string{"checkout..svc"}, ""},
		"a DNS name that is a SPIFFE":                      {nil, []string{"spiffe://example.org/a"}, ""},
		"an underscore":                                    {nil, []string{"_grpc.shop.svc"}, "certificate:_grpc.shop.svc"},
		"control characters":                               {nil, []string{"a\nb"}, ""},
		"a name too long":                                  {nil, []string{strings.Repeat("a", 481)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			who, err := caller.FromCertificate(&x509.Certificate{URIs: test.uris, DNSNames: test.dns}, "peer")
			for _, uri := range test.uris {
				if err != nil && strings.Contains(err.Error(), uri.String()) {
					t.Errorf("the error repeats the name: %v", err)
				}
			}
			if (err == nil) != (test.want != "") || who.String() != test.want {
				t.Errorf("%q, error %v; want %q", who, err, test.want)
			}
			if err == nil && (who.Peer != "peer" || !who.IsShared() || caller.ParseName(who.String()) != nil) {
				t.Errorf("identity %+v: a policy could not name it", who)
			}
		})
	}
}

// A SPIFFE ID without // is told so, not taken for a host name.
func TestASPIFFEIDThatNamesNobodyIsToldWhy(t *testing.T) {
	t.Parallel()
	for _, uri := range []url.URL{
		{Scheme: "spiffe", Opaque: "example.org/a"}, {Scheme: "SPIFFE", Host: "example.org", Path: "/a"},
	} {
		_, err := caller.FromCertificate(&x509.Certificate{URIs: []*url.URL{&uri}}, "peer")
		if err == nil || !strings.Contains(err.Error(), "its SPIFFE ID must have a trust domain") {
			t.Errorf("%v: error %v", &uri, err)
		}
	}
}

func TestParseName(t *testing.T) {
	t.Parallel()
	for text, good := range map[string]bool{
		"loopback": true, "uid:0": true, "uid:4294967295": true, "token:checkout": true,
		"certificate:a.example": true, "certificate:spiffe://example.org/a": true,
		"": false, "remote": false, "Loopback": false, "uid:": false, "uid:01": false, "uid:+1": false, "uid:4294967296": false, "uid:root": false,
		"token:": false, "token:a b": false, "certificate:": false, "certificate:A.example": false, "certificate:https://a/": false, "name": false,
		"certificate:" + strings.Repeat("a", 480): true, "certificate:" + strings.Repeat("a", 481): false,
	} {
		if err := caller.ParseName(text); (err == nil) != good {
			t.Errorf("%q: error %v", text, err)
		}
	}
}

func TestParseTLSRefusesWhatIsNoPair(t *testing.T) {
	t.Parallel()
	pair := callertest.NewCA(t).Server(t)
	for name, files := range map[string][3]string{
		"nothing": {"", "", ""}, "no PEM": {"x", "y", "z"}, "no CA": {string(pair.Certificate), string(pair.Key), ""},
	} {
		if _, err := caller.ParseTLS([]byte(files[0]), []byte(files[1]), []byte(files[2])); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
