package kustomer

import "net/http"

// maxRedirects is the maximum number of redirects on the same host.
const maxRedirects = 3

// staysOnHost follows a redirect only to the same scheme, host and port, so that the API key goes
// nowhere else. Any other redirect is itself the answer.
func staysOnHost(next *http.Request, via []*http.Request) error {
	first := via[0].URL
	if len(via) > maxRedirects || next.URL.Scheme != first.Scheme || next.URL.Host != first.Host {
		return http.ErrUseLastResponse
	}
	return nil
}
