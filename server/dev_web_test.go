package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// webPage is a running dev --web, as its page uses it.
type webPage struct {
	*exec.Cmd
	url string
	log *output
}

func startWeb(t *testing.T, flags ...string) *webPage {
	t.Helper()
	args := append([]string{"dev", "--web", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--output", "json"}, flags...)
	p := &webPage{Cmd: exec.Command(program, args...), log: &output{}}
	p.Stderr = p.log
	stdout, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Process.Kill(); _ = p.Wait() })
	var shown devReport
	if err := json.NewDecoder(stdout).Decode(&shown); err != nil {
		t.Fatalf("%v\n%s", err, p.log)
	}
	p.url = strings.TrimSuffix(shown.WebURL, "/")
	return p
}

// post asks for a path as the page does.
func (p *webPage) post(t *testing.T, path, body string, answer any) (status int) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Origin", p.url)
	got, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatalf("%v\n%s", err, p.log)
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	if answer != nil {
		if err := json.Unmarshal(text, answer); err != nil {
			t.Fatalf("%s: %v: %s", path, err, text)
		}
	}
	return got.StatusCode
}

// webState is what the page shows.
type webState struct {
	Issued  *struct{ Claims map[string]any }
	Verdict *struct{ Verdict string }
	Refused *struct {
		Reason, Limit string
		Wait          int `json:"retry_after"`
		Fields        []struct{ Name, Problem string }
	}
	Record struct{ Line map[string]any }
}

// logIn logs a user in to the app, asks for a token, and returns the answer's status and what the
// page shows.
func (p *webPage) logIn(t *testing.T, externalID, email string) (status int, token string, shown webState) {
	t.Helper()
	p.post(t, "/session", url.Values{"external_id": {externalID}, "email": {email}}.Encode(), nil)
	var answer struct{ Token string }
	status = p.post(t, "/chat-token", "", &answer)
	eventually(t, "audit record", func() bool {
		shown = webState{}
		p.post(t, "/state", "", &shown)
		return shown.Record.Line != nil
	})
	return status, answer.Token, shown
}

// The page's backend is a client of the real sidecar: tokens, verdicts, records and refusals are
// its. docs/clients.md tells how a backend answers them.
func TestDevWeb(t *testing.T) {
	t.Parallel()
	p := startWeb(t, "--limit-customer", "1/h:1", "--log-level", "debug")
	if !strings.HasPrefix(p.url, "http://127.0.0.1:") {
		t.Errorf("the page is at %s", p.url)
	}
	const person, address = "canary-id", "canary@example.com"
	status, token, shown := p.logIn(t, person, address)
	if status != http.StatusOK || shown.Issued.Claims["externalId"] != person || shown.Issued.Claims["email"] != address {
		t.Errorf("token: %d, claims %v", status, shown.Issued)
	}
	if shown.Verdict.Verdict != "accepted" || shown.Record.Line["event"] != "token.issue" || shown.Record.Line["outcome"] != "OK" {
		t.Errorf("verdict %v, record %v", shown.Verdict, shown.Record.Line)
	}
	var found map[string]string
	if status := p.post(t, "/log-in", token, &found); status != http.StatusOK || found["email"] != address {
		t.Errorf("Kustomer: %d %v", status, found)
	}
	status, _, shown = p.logIn(t, person, address)
	if status != http.StatusTooManyRequests || shown.Refused.Reason != "RATE_LIMITED" || shown.Refused.Limit != "customer" ||
		shown.Refused.Wait < 3000 || shown.Record.Line["reason"] != "RATE_LIMITED" {
		t.Errorf("limit: %d %+v, record %v", status, shown.Refused, shown.Record.Line)
	}
	status, _, shown = p.logIn(t, " "+person, "canary")
	if status != http.StatusUnprocessableEntity || shown.Refused.Reason != "INVALID_CUSTOMER" || len(shown.Refused.Fields) != 2 ||
		shown.Refused.Fields[0].Name != "customer.external_id" || shown.Refused.Fields[1].Name != "customer.email" {
		t.Errorf("customer: %d %+v", status, shown.Refused)
	}
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil {
		t.Errorf("dev ended with %v", err)
	}
	if log := p.log.String(); strings.Contains(log, "canary") || strings.Contains(log, token) || !strings.Contains(log, "event=stopped") {
		t.Errorf("log:\n%s", log)
	}
}

// Only --web opens the page.
func TestDevWithoutWeb(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := command(t, nil, "", "dev", "--exit")
	if code != exitOK || strings.Contains(stdout, "web_url") {
		t.Errorf("code %d, %s%s", code, stdout, stderr)
	}
	if code, stdout, _ := command(t, nil, "", "dev", "--exit", "--web"); code != exitOK || !strings.Contains(stdout, `"web_url":"http://127.0.0.1:`) {
		t.Errorf("--web: code %d, %s", code, stdout)
	}
	if code, _, _ := command(t, nil, "", "serve", "--web"); code != exitUsage {
		t.Errorf("serve --web: code %d", code)
	}
}
