package standin_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/kustomer/standin"
)

const key = "admin-key"

func TestSettingsEndpoint(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, method, authorization string
		roles                       []string
		status                      int
		holds                       string
	}{
		{"admin", http.MethodGet, "Bearer " + key, nil, 200, `{"data":{"attributes":{"secret":"` + secret + `"}`},
		{"no key", http.MethodGet, "", nil, 401, `"meta":{}`},
		{"wrong key", http.MethodGet, "Bearer nobody", nil, 401, `"code":"unauthorized"`},
		{"basic", http.MethodGet, "Basic " + key, nil, 401, `"errors"`},
		{"a role missing", http.MethodGet, "Bearer " + key, []string{"org.user"}, 403, `"title"`},
		{"no role", http.MethodGet, "Bearer " + key, []string{}, 403, `"title"`},
		{"delete", http.MethodDelete, "Bearer " + key, nil, 405, `"errors"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			vendor := standin.New(standin.Options{APIKey: key, Secret: secret, Roles: test.roles})
			answer := ask(vendor, test.method, "/v1/auth/customer/settings", test.authorization)
			if answer.Code != test.status || !strings.Contains(answer.Body.String(), test.holds) || !json.Valid(answer.Body.Bytes()) {
				t.Errorf("answer %d %s, want %d with %s", answer.Code, answer.Body, test.status, test.holds)
			}
			if answer.Code != http.StatusOK && strings.Contains(answer.Body.String(), secret) {
				t.Error("a refusal holds the secret")
			}
		})
	}
}

func TestUnknownPathIsNotFound(t *testing.T) {
	t.Parallel()
	vendor := standin.New(standin.Options{APIKey: key})
	if answer := ask(vendor, http.MethodGet, "/v1/auth/tokens/current", "Bearer "+key); answer.Code != http.StatusNotFound {
		t.Errorf("status %d, want 404", answer.Code)
	}
}

func TestTheBudgetIsOneOfAMinute(t *testing.T) {
	t.Parallel()
	clock := time.Unix(1_800_000_000, 0)
	vendor := standin.New(standin.Options{APIKey: key, CallsPerMinute: 2, Now: func() time.Time { return clock }})
	for _, want := range []struct {
		status    int
		remaining string
	}{{200, "1"}, {200, "0"}, {429, "0"}} {
		answer := ask(vendor, http.MethodGet, "/v1/users/current", "Bearer "+key)
		header := answer.Header()
		if answer.Code != want.status || header.Get("X-Ratelimit-Remaining") != want.remaining ||
			header.Get("X-Ratelimit-Limit") != "2" || header.Get("X-Ratelimit-Reset") != "1800000060" {
			t.Errorf("answer %d %v, want %d with %s of 2 left", answer.Code, header, want.status, want.remaining)
		}
	}
	clock = clock.Add(time.Minute)
	if answer := ask(vendor, http.MethodGet, "/v1/users/current", "Bearer "+key); answer.Code != http.StatusOK {
		t.Errorf("status a minute later: %d, want 200", answer.Code)
	}
	if requests := vendor.Requests(); requests != 4 {
		t.Errorf("counted %d requests, want 4", requests)
	}
}

func ask(vendor http.Handler, method, path, authorization string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, path, http.NoBody)
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	answer := httptest.NewRecorder()
	vendor.ServeHTTP(answer, request)
	return answer
}
