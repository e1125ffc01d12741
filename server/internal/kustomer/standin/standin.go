// Package standin is a stand-in for Kustomer: the two API endpoints that the sidecar uses, with
// many kinds of failure, and the check that Kustomer's chat makes of a token. `chatidentity dev`
// and the tests use it. It shares no code with the sidecar's signing or client, so its verdict is
// independent.
package standin

import (
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Options configure a Vendor. The zero value serves an organization with an empty secret and
// refuses every key.
type Options struct {
	// APIKey is the only valid key. Empty: none is valid.
	APIKey string
	// Secret is the chat signing secret.
	Secret string
	// Roles are the key's. Nil: org.admin and org.user.
	Roles []string
	// CallsPerMinute is the API budget. 0: 2,000, that of the largest plan.
	CallsPerMinute int
	// Now is Kustomer's clock: the Date header and the budget's minute. Nil: time.Now.
	Now func() time.Time
}

// Vendor plays Kustomer. It is safe for concurrent use.
type Vendor struct {
	mux http.ServeMux

	mu        sync.Mutex
	options   Options
	behaviour Behaviour
	minute    time.Time // when the budget's current minute began
	spent     int       // calls in that minute
	requests  int
}

// New returns a vendor that behaves normally.
func New(options Options) *Vendor {
	if options.Roles == nil {
		options.Roles = []string{"org.admin", "org.user"}
	}
	if options.CallsPerMinute == 0 {
		options.CallsPerMinute = 2000
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	s := &Vendor{options: options, behaviour: Normal}
	s.mux.HandleFunc("/v1/auth/customer/settings", s.endpoint(s.settings, "org.admin", "org.user"))
	s.mux.HandleFunc("/v1/users/current", s.endpoint(s.currentUser))
	s.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		jsonAPIError(w, http.StatusNotFound, "not_found", "Not Found")
	})
	return s
}

// Start serves on a free loopback port. It returns the base URL and a function that stops it, ends
// open requests and waits for them.
func (s *Vendor) Start() (string, func(), error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // binding loopback does not block
	if err != nil {
		return "", nil, fmt.Errorf("starting the stand-in for Kustomer: %w", err)
	}
	server := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) })
	stop := func() {
		_ = server.Close()
		serving.Wait()
	}
	return "http://" + listener.Addr().String(), stop, nil
}

// SetSecret replaces the secret at once, as Kustomer does.
func (s *Vendor) SetSecret(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.options.Secret = secret
}

// SetBehaviour changes how the next requests are answered.
func (s *Vendor) SetBehaviour(behaviour Behaviour) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behaviour = behaviour
}

// Requests returns the number of requests so far, whatever the answers.
func (s *Vendor) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// ServeHTTP answers as Kustomer's API would.
func (s *Vendor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	behaviour, options := s.enter()
	w.Header().Set("Date", options.Now().UTC().Format(http.TimeFormat))
	if answer, odd := moods[behaviour]; odd {
		answer(w, r, options)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// enter counts a request and returns how to answer it.
func (s *Vendor) enter() (Behaviour, Options) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	return s.behaviour, s.options
}

func (s *Vendor) snapshot() Options {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.options
}

// endpoint checks the verb, the key, its roles and the budget, in that order.
func (s *Vendor) endpoint(answer func(http.ResponseWriter), roles ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		options := s.snapshot()
		given, _ := bearer(r)
		switch {
		case r.Method != http.MethodGet:
			jsonAPIError(w, http.StatusMethodNotAllowed, "method_not_allowed", "Method Not Allowed")
		case options.APIKey == "" || subtle.ConstantTimeCompare([]byte(given), []byte(options.APIKey)) != 1:
			plainError(w, http.StatusUnauthorized, "unauthorized", "no valid token was found")
		case !holdsAll(options.Roles, roles):
			jsonAPIError(w, http.StatusForbidden, "forbidden", "Insufficient permissions")
		case !s.spend(w):
			jsonAPIError(w, http.StatusTooManyRequests, "too_many_requests", "Too Many Requests")
		default:
			answer(w)
		}
	}
}

func holdsAll(held, needed []string) bool {
	return !slices.ContainsFunc(needed, func(role string) bool { return !slices.Contains(held, role) })
}

// spend takes one call from the minute's budget and sets the rate headers.
func (s *Vendor) spend(w http.ResponseWriter) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.options.Now()
	if since := now.Sub(s.minute); since < 0 || since >= time.Minute {
		s.minute, s.spent = now, 0
	}
	s.spent++
	left := s.options.CallsPerMinute - s.spent
	header := w.Header()
	header.Set("X-Ratelimit-Limit", strconv.Itoa(s.options.CallsPerMinute))
	header.Set("X-Ratelimit-Remaining", strconv.Itoa(max(0, left)))
	header.Set("X-Ratelimit-Reset", strconv.FormatInt(s.minute.Add(time.Minute).Unix(), 10))
	return left >= 0
}

func (s *Vendor) settings(w http.ResponseWriter) {
	writeJSON(w, http.StatusOK, settingsBody(s.snapshot().Secret))
}

func settingsBody(secret string) map[string]any {
	return jsonAPI("settings", map[string]any{"secret": secret})
}

func (s *Vendor) currentUser(w http.ResponseWriter) {
	writeJSON(w, http.StatusOK, jsonAPI("user", map[string]any{"name": "chatidentity", "roles": s.snapshot().Roles}))
}

func jsonAPI(kind string, attributes map[string]any) map[string]any {
	return map[string]any{"data": map[string]any{"type": kind, "id": "5f0000000000000000000001", "attributes": attributes}}
}

// jsonAPIError writes an error in the form of JSON:API.
func jsonAPIError(w http.ResponseWriter, status int, code, title string) {
	writeJSON(w, status, map[string]any{"errors": []any{map[string]any{
		"status": strconv.Itoa(status), "code": code, "title": title, "detail": title + ".", "source": map[string]any{},
	}}})
}

// plainError writes an error in the vendor's other form.
func plainError(w http.ResponseWriter, status int, code, message string) {
	writeJSON(w, status, map[string]any{"errors": []any{map[string]any{
		"code": code, "message": message, "meta": map[string]any{},
	}}})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // net/http closes the connection, as a broken vendor would
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(text)
}
