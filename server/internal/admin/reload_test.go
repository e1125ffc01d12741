package admin_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chatidentity/chatidentity/server/internal/admin"
)

// The lines of the log stay inside the pod.
func TestReloadIsToldOverLoopbackOnly(t *testing.T) {
	t.Parallel()
	fine := func() error { return nil }
	handler := admin.Handler(fine, fine, prometheus.NewRegistry(), func() admin.Reload { return admin.Reload{Log: []string{"a line"}} })
	const here = "127.0.0.1:4711"
	for _, test := range []struct {
		from, host string
		want       int
	}{
		{here, "localhost", 200},
		{here, "127.0.0.1:9452", 200},
		{"[::1]:4711", "[::1]:9452", 200},
		{"[::ffff:127.0.0.1]:4711", "localhost:9452", 200},
		{here, "attacker.example.com", 403}, // whose DNS says 127.0.0.1
		{"10.0.0.7:4711", "localhost", 403},
		{"[fe80::1%eth0]:4711", "localhost", 403},
		{"@", "localhost", 403},
		{"", "localhost", 403},
	} {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/reload", http.NoBody)
		request.RemoteAddr, request.Host = test.from, test.host
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request)
		if answer.Code != test.want {
			t.Errorf("from %q to %q: %d %s, want %d", test.from, test.host, answer.Code, answer.Body, test.want)
		}
	}
}
