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
	for from, want := range map[string]int{
		"127.0.0.1:4711": 200, "[::1]:4711": 200, "[::ffff:127.0.0.1]:4711": 200,
		"10.0.0.7:4711": 403, "[fe80::1%eth0]:4711": 403, "192.0.2.1:1": 403, "@": 403, "": 403,
	} {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/reload", http.NoBody)
		request.RemoteAddr = from
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request)
		if answer.Code != want {
			t.Errorf("from %q: %d %s, want %d", from, answer.Code, answer.Body, want)
		}
	}
}
