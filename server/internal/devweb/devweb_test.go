package devweb_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/devweb"
)

// backend answers what a test says.
type backend struct {
	issue     func(customer.Customer) (devweb.Issued, error)
	verdict   error
	recordErr error
}

func (b *backend) Issue(_ context.Context, who customer.Customer) (devweb.Issued, error) {
	return b.issue(who)
}

func (b *backend) Verify(_ context.Context, token string) (devweb.Verdict, error) {
	return devweb.Verdict{Verdict: "accepted", Detail: token}, b.verdict
}

func (b *backend) Record(auditID string) (json.RawMessage, error) {
	return json.RawMessage(`{"audit_id":"` + auditID + `"}`), b.recordErr
}

func (*backend) LogIn(token string) (claim, value string, err error) {
	if token != "token of ada" {
		return "", "", errors.New("not a token")
	}
	return "externalId", "ada", nil
}

func issues(who customer.Customer) (devweb.Issued, error) {
	return devweb.Issued{
		Token: "token of " + who.ExternalID, LoginIdentifier: "external_id", AuditID: "id of " + who.ExternalID,
		Claims: json.RawMessage(`{"externalId":"` + who.ExternalID + `"}`),
	}, nil
}

func refuses(refusal devweb.Refusal) func(customer.Customer) (devweb.Issued, error) {
	return func(customer.Customer) (devweb.Issued, error) { return devweb.Issued{}, &refusal }
}

func serve(t *testing.T, b *backend) (url string) {
	t.Helper()
	server := httptest.NewServer(devweb.Handler(b))
	t.Cleanup(server.Close)
	return server.URL
}

func newRequest(t *testing.T, method, address, body string) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return request
}

type reply struct {
	status int
	header http.Header
	body   string
}

func send(t *testing.T, request *http.Request) reply {
	t.Helper()
	got, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{got.StatusCode, got.Header, string(body)}
}

// post sends what the page sends, with the headers of a browser.
func post(t *testing.T, address, body string) reply {
	t.Helper()
	request := newRequest(t, http.MethodPost, address, body)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Sec-Fetch-Site", "same-origin")
	return send(t, request)
}

// The program carries the page wherever it goes.
func TestThePageIsSmallAndItsOwn(t *testing.T) {
	t.Parallel()
	home := serve(t, &backend{})
	size := 0
	for _, path := range []string{"/", "/page.css", "/page.js", "/icon.svg", "/chat.js", "/widget.js"} {
		got := send(t, newRequest(t, http.MethodGet, home+path, ""))
		size += len(got.body)
		if path == "/" {
			for _, alien := range []string{`<script>`, `<style`, `\sstyle=`, `\son[a-z]+=`, `https?:`, `//`} {
				if regexp.MustCompile(alien).MatchString(got.body) {
					t.Errorf("the page has %s", alien)
				}
			}
		}
	}
	if size > 15_000 {
		t.Errorf("the page and its files have %d bytes", size)
	}
}

func TestALogIn(t *testing.T) {
	t.Parallel()
	home := serve(t, &backend{issue: issues})
	if got := post(t, home+"/state", ""); got.body != `{"user":null}`+"\n" {
		t.Errorf("before: %s", got.body)
	}
	if got := post(t, home+"/chat-token", ""); got.status != http.StatusUnauthorized {
		t.Errorf("a token of nobody: %d %s", got.status, got.body)
	}
	if got := post(t, home+"/session", "external_id=ada&email=a%40b.example"); got.status != http.StatusNoContent {
		t.Errorf("log-in: %d %s", got.status, got.body)
	}
	got := post(t, home+"/chat-token", "")
	if got.status != http.StatusOK || got.body != `{"login_identifier":"external_id","token":"token of ada"}`+"\n" {
		t.Errorf("token: %d %s", got.status, got.body)
	}
	if got := post(t, home+"/log-in", "token of ada"); got.status != http.StatusOK || got.body != `{"externalId":"ada"}`+"\n" {
		t.Errorf("Kustomer: %d %s", got.status, got.body)
	}
	if got := post(t, home+"/log-in", "x"); got.status != http.StatusUnauthorized || got.body != `{"error":"not a token"}`+"\n" {
		t.Errorf("Kustomer, of no token: %d %s", got.status, got.body)
	}
	got = post(t, home+"/state", "")
	for _, part := range []string{
		`"user":{"external_id":"ada","email":"a@b.example"}`, `"claims":{"externalId":"ada"}`,
		`"verdict":{"verdict":"accepted","detail":"token of ada"}`, `"record":{"line":{"audit_id":"id of ada"}}`,
	} {
		if !strings.Contains(got.body, part) {
			t.Errorf("state without %s: %s", part, got.body)
		}
	}
	post(t, home+"/session/end", "")
	if got := post(t, home+"/state", ""); got.body != `{"user":null}`+"\n" {
		t.Errorf("after: %s", got.body)
	}
}

// Errors are answered as docs/clients.md has it, and the page learns all of them.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		issue       func(customer.Customer) (devweb.Issued, error)
		status      int
		retryAfter  string
		body, state string
	}{
		"limit": {
			refuses(devweb.Refusal{Code: "RESOURCE_EXHAUSTED", Reason: "RATE_LIMITED", Limit: "customer", Wait: 7, AuditID: "1"}),
			http.StatusTooManyRequests, "7", `{"error":"too many chat log-ins"}`,
			`"refused":{"code":"RESOURCE_EXHAUSTED","reason":"RATE_LIMITED","message":"","audit_id":"1","limit":"customer","retry_after":7},"record":{"line":{"audit_id":"1"}}`,
		},
		"limit, without a time": {
			refuses(devweb.Refusal{Code: "RESOURCE_EXHAUSTED"}),
			http.StatusTooManyRequests, "1", `{"error":"too many chat log-ins"}`, `"code":"RESOURCE_EXHAUSTED"`,
		},
		"customer": {
			refuses(devweb.Refusal{Code: "INVALID_ARGUMENT", Reason: "INVALID_CUSTOMER", Fields: []devweb.Field{{"customer.email", "must be one"}}}),
			http.StatusUnprocessableEntity, "", `{"error":"this user cannot log in to chat"}`,
			`"fields":[{"name":"customer.email","problem":"must be one"}]`,
		},
		"outage": {
			refuses(devweb.Refusal{Code: "UNAVAILABLE", Reason: "AUDIT_UNAVAILABLE"}),
			http.StatusOK, "", `{"token":null}`, `"reason":"AUDIT_UNAVAILABLE"`,
		},
		"no refusal": {
			func(customer.Customer) (devweb.Issued, error) { return devweb.Issued{}, errors.New("broken") },
			http.StatusOK, "", `{"token":null}`, `"refused":{"code":"UNKNOWN","reason":"","message":"broken"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			home := serve(t, &backend{issue: test.issue})
			post(t, home+"/session", "external_id=ada")
			got := post(t, home+"/chat-token", "")
			if got.status != test.status || got.body != test.body+"\n" || got.header.Get("Retry-After") != test.retryAfter {
				t.Errorf("%d %s, Retry-After %q", got.status, got.body, got.header.Get("Retry-After"))
			}
			if got := post(t, home+"/state", ""); !strings.Contains(got.body, test.state) || strings.Contains(got.body, `"issued"`) {
				t.Errorf("state %s, want %s", got.body, test.state)
			}
		})
	}
}

// What cannot be looked up is said in its place.
func TestWhatIsMissingIsSaid(t *testing.T) {
	t.Parallel()
	home := serve(t, &backend{issue: issues, verdict: errors.New("no verdict"), recordErr: errors.New("no record")})
	post(t, home+"/session", "external_id=ada")
	post(t, home+"/chat-token", "")
	got := post(t, home+"/state", "")
	for _, part := range []string{`"verdict":{"verdict":"unknown","detail":"no verdict"}`, `"record":{"missing":"no record"}`} {
		if !strings.Contains(got.body, part) {
			t.Errorf("state without %s: %s", part, got.body)
		}
	}
}

// A token that comes when its user has logged out is nobody's.
func TestALateTokenIsNotTheNextUsers(t *testing.T) {
	t.Parallel()
	asked, goOn := make(chan struct{}), make(chan struct{})
	home := serve(t, &backend{issue: func(who customer.Customer) (devweb.Issued, error) {
		close(asked)
		<-goOn
		return issues(who)
	}})
	post(t, home+"/session", "external_id=ada")
	answered := make(chan reply)
	go func() { answered <- post(t, home+"/chat-token", "") }()
	<-asked
	post(t, home+"/session", "external_id=bob")
	close(goOn)
	<-answered
	if got := post(t, home+"/state", ""); got.body != `{"user":{"external_id":"bob","email":""}}`+"\n" {
		t.Errorf("bob sees %s", got.body)
	}
}

// lockedBuffer may be read while it is written.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// The log has the faults of the page, and no value of a person or token.
func TestTheLogHasNoValues(t *testing.T) {
	t.Parallel()
	listener, err := devweb.Listen()
	if err != nil {
		t.Fatal(err)
	}
	if address, ok := listener.Addr().(*net.TCPAddr); !ok || !address.IP.IsLoopback() {
		t.Fatalf("listens on %v", listener.Addr())
	}
	var log lockedBuffer // a connection may outlive Serve by a moment
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	b := &backend{issue: func(customer.Customer) (devweb.Issued, error) { panic("a fault") }}
	ended := make(chan error)
	go func() { ended <- devweb.Serve(ctx, listener, b, slog.New(slog.NewJSONHandler(&log, nil))) }()
	home := "http://" + listener.Addr().String()
	const canary = "canary"
	post(t, home+"/session", url.Values{"external_id": {canary}, "email": {canary + "@example.com"}}.Encode())
	post(t, home+"/log-in", canary)
	post(t, home+"/session", "external_id=%zz"+canary)
	if reply, err := http.DefaultClient.Do(newRequest(t, http.MethodPost, home+"/chat-token", "")); err == nil {
		reply.Body.Close()
		t.Error("a fault was answered")
	}
	stop()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it does not end")
	}
	if said := log.String(); !strings.Contains(said, `"event":"dev_web"`) || !strings.Contains(said, "a fault") || strings.Contains(said, canary) {
		t.Errorf("log: %s", said)
	}
}
