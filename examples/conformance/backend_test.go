package conformance

import (
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	// coldStart covers a build from nothing on two busy cores.
	coldStart = 20 * time.Minute
	// answerWithin is when a page must have its answer, whatever the sidecar
	// does: the deadline of one second, and room for a busy machine.
	answerWithin = 10 * time.Second
	// recoverWithin covers the reconnect backoff, at most 5 seconds and jitter.
	recoverWithin = 30 * time.Second
	interval      = 100 * time.Millisecond
	// fewest tries are made, also where one takes as long as all may: Maven on a busy machine.
	fewest = 5
)

// backend is one example, running.
type backend struct {
	url     string
	logFile string
}

// startBackend types the README's command and waits for the page.
func startBackend(t *testing.T, command, address string) *backend {
	t.Helper()
	port := freePort(t)
	b := &backend{url: "http://127.0.0.1:" + port, logFile: filepath.Join(t.TempDir(), "log")}
	output, err := os.Create(b.logFile)
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	process := exec.Command("bash", "-c", command)
	process.Dir = root
	process.Env = append(os.Environ(), "PORT="+port, "CHATIDENTITY_ADDRESS="+address)
	process.Stdout, process.Stderr = output, output
	process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = process.Wait()
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-process.Process.Pid, syscall.SIGKILL) // bash and all that it started
		<-ended
	})
	client := &http.Client{Timeout: answerWithin}
	for deadline := time.Now().Add(coldStart); ; {
		if page, err := client.Get(b.url + "/"); err == nil {
			page.Body.Close()
			return b
		}
		select {
		case <-ended:
			t.Fatalf("it ended before it served:\n%s", b.log(t))
		case <-time.After(interval):
		}
		if time.Now().After(deadline) {
			t.Fatalf("no page after %v:\n%s", coldStart, b.log(t))
		}
	}
}

// freePort returns a loopback port that nobody listens on now. It is below those that Linux hands out
// by itself, so that nobody is given it before the backend listens.
func freePort(t *testing.T) string {
	t.Helper()
	const lowest, count, tries = 10_000, 20_000, 100
	var err error
	for range tries {
		port := strconv.Itoa(lowest + rand.IntN(count))
		var listener net.Listener
		if listener, err = net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			listener.Close()
			return port
		}
	}
	t.Fatal(err)
	return ""
}

func (b *backend) log(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(b.logFile)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// watchLog returns a function that reports whether the log has named a gRPC
// code or reason since, however the language spells it.
func (b *backend) watchLog(t *testing.T) func(name string) bool {
	t.Helper()
	seen := len(b.log(t))
	plain := func(text string) string { return strings.ToLower(strings.ReplaceAll(text, "_", "")) }
	return func(name string) bool {
		t.Helper()
		return strings.Contains(plain(b.log(t)[seen:]), plain(name))
	}
}

// browser is one user's.
type browser struct {
	*http.Client
	url     string
	headers http.Header // of requests for a token
}

// anonymous returns a browser whose user is not logged in.
func (b *backend) anonymous(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &browser{&http.Client{Jar: jar, Timeout: answerWithin, CheckRedirect: stay}, b.url, http.Header{}}
}

// logIn returns the browser of a user who has logged in to the backend.
func (b *backend) logIn(t *testing.T, user string) *browser {
	t.Helper()
	browser := b.anonymous(t)
	answer, err := browser.PostForm(b.url+"/login", url.Values{"user_id": {user}})
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusSeeOther {
		t.Fatalf("POST /login: %s, want 303", answer.Status)
	}
	return browser
}

// page gets the page, which must show its user.
func (u *browser) page(t *testing.T, user string) {
	t.Helper()
	answer, err := u.Get(u.url + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK || !strings.Contains(string(text), user) {
		t.Fatalf("GET /: %s %s %v, want a page with %s", answer.Status, text, err, user)
	}
}

// tokenAnswer is what POST /chat-token answers.
type tokenAnswer struct {
	status     int
	header     http.Header
	fields     map[string]any
	Token      string    `json:"token"`
	Identifier string    `json:"login_identifier"`
	Expires    time.Time `json:"expire_time"`
}

// degraded: the page goes on without chat log-in.
func (a tokenAnswer) degraded() bool {
	token, given := a.fields["token"]
	return a.status == http.StatusOK && given && token == nil
}

func (a tokenAnswer) hasToken() bool { return a.status == http.StatusOK && a.Token != "" }

func (u *browser) chatToken(t *testing.T) tokenAnswer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, u.url+"/chat-token", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header = u.headers.Clone()
	answer, err := u.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	parsed := tokenAnswer{status: answer.StatusCode, header: answer.Header}
	for _, into := range []any{&parsed, &parsed.fields} {
		if err := json.Unmarshal(text, into); err != nil {
			t.Fatalf("POST /chat-token: %s %q: %v", answer.Status, text, err)
		}
	}
	return parsed
}

// awaitToken asks until chat log-in works: after a start of the backend, whose
// first call may take a cold process longer than its deadline, or after one of
// the sidecar. Until then the answer must be that there is no token.
func (u *browser) awaitToken(t *testing.T) tokenAnswer {
	t.Helper()
	answer := u.decided(t)
	if !answer.hasToken() {
		t.Fatalf("POST /chat-token: %d %v, want a token", answer.status, answer.fields)
	}
	return answer
}

// decided asks until the sidecar's own answer comes back. On a busy machine a
// call may run into its deadline.
func (u *browser) decided(t *testing.T) tokenAnswer {
	t.Helper()
	var answer tokenAnswer
	eventually(t, func() error {
		if answer = u.chatToken(t); answer.degraded() {
			return errors.New("no token, nor a refusal")
		}
		return nil
	})
	return answer
}

// eventually tries until there is no error.
func eventually(t *testing.T, try func() error) {
	t.Helper()
	deadline := time.Now().Add(recoverWithin)
	for tries := 1; ; tries++ {
		err := try()
		if err == nil {
			return
		}
		if tries >= fewest && time.Now().After(deadline) {
			t.Fatalf("after %v and %d tries: %v", recoverWithin, tries, err)
		}
		time.Sleep(interval)
	}
}
