package devweb

import (
	"net/http"
	"net/netip"
	"net/url"
)

// maxBody is more than the sidecar takes, so that it refuses what is too long.
const maxBody = 64 << 10

// policy lets the page use its own files alone, and no other page frame it.
const policy = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// guard keeps other sites in the developer's browser from asking for tokens: a name that their DNS
// makes ours is refused, and so is a POST of any other origin. All that tells something of a
// session is a POST.
func guard(next http.Handler) http.Handler {
	guarded := http.NewCrossOriginProtection().Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range map[string]string{
			"Content-Security-Policy":      policy,
			"Cross-Origin-Resource-Policy": "same-origin",
			"Referrer-Policy":              "no-referrer",
			"X-Content-Type-Options":       "nosniff",
			"Cache-Control":                "no-store",
		} {
			w.Header().Set(name, value)
		}
		if !isLoopback(r.Host) {
			http.Error(w, "name this page by its loopback address", http.StatusForbidden)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		guarded.ServeHTTP(w, r)
	})
}

func isLoopback(host string) bool {
	name := (&url.URL{Host: host}).Hostname()
	address, err := netip.ParseAddr(name)
	return name == "localhost" || err == nil && address.IsLoopback()
}
