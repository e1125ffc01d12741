package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/admin"
)

// Profiles go to whoever asks for one on purpose, by a loopback address, one at a time.
func TestProfiles(t *testing.T) { //nolint:tparallel // one profile at a time
	t.Parallel()
	address := profilesOf(t, start(t, withSecret("--profile-listen", "127.0.0.1:0")))
	for name, test := range map[string]struct { //nolint:paralleltest // one profile at a time
		path, method, host, header string
		code                       int
	}{
		"a heap profile":        {path: "heap", code: 200},
		"a CPU profile":         {path: "cpu?seconds=1", code: 200},
		"too long":              {path: "cpu?seconds=31", code: 400},
		"no time":               {path: "cpu?seconds=0", code: 400},
		"no number":             {path: "cpu?seconds=x", code: 400},
		"a forged GET":          {path: "heap", header: "Accept", code: 403},
		"a name of another DNS": {path: "heap", host: "attacker.example", code: 403},
		"another method":        {path: "heap", method: http.MethodPost, code: 405},
		"another profile":       {path: "goroutine", code: 404},
		"the command line":      {path: "cmdline", code: 404},
	} {
		t.Run(name, func(t *testing.T) {
			method, header := test.method, test.header
			if method == "" {
				method = http.MethodGet
			}
			if header == "" {
				header = admin.ProfileHeader
			}
			request, err := http.NewRequestWithContext(t.Context(), method, "http://"+address+"/profile/"+test.path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set(header, "1")
			if test.host != "" {
				request.Host = test.host
			}
			answer, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			body, err := io.ReadAll(answer.Body)
			if err != nil || answer.StatusCode != test.code {
				t.Fatalf("status %d, want %d; %v", answer.StatusCode, test.code, err)
			}
			gzip := []byte{0x1f, 0x8b} // profiles are compressed
			if test.code == 200 && !bytes.HasPrefix(body, gzip) {
				t.Errorf("no profile: %q", body)
			}
		})
	}
}

func TestOneProfileAtATime(t *testing.T) {
	t.Parallel()
	address := profilesOf(t, start(t, withSecret("--profile-listen", "127.0.0.1:0")))
	codes := make(chan int, 2)
	for range cap(codes) {
		go func() {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/profile/cpu?seconds=2", http.NoBody)
			if err != nil {
				t.Error(err)
				return
			}
			request.Header.Set(admin.ProfileHeader, "1")
			answer, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Error(err)
				return
			}
			answer.Body.Close()
			codes <- answer.StatusCode
		}()
	}
	if sum := <-codes + <-codes; sum != http.StatusOK+http.StatusTooManyRequests {
		t.Errorf("the codes of two requests at once add up to %d", sum)
	}
}

func TestNoProfilesUnlessAskedFor(t *testing.T) {
	t.Parallel()
	p := start(t, withSecret())
	if code, _ := p.get(t, "/profile/heap"); code != 404 || strings.Contains(p.stderr.String(), "serving_profiles") {
		t.Errorf("the admin listener answers %d", code)
	}
}

// SIGQUIT shows what every goroutine does, and ends the program, as with any program in Go.
func TestSIGQUITKeepsItsMeaning(t *testing.T) {
	t.Parallel()
	p := start(t, withSecret())
	if err := p.Process.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	_ = p.waited()
	if code, text := p.ProcessState.ExitCode(), p.stderr.String(); code != 2 || !strings.Contains(text, "SIGQUIT: quit") || !strings.Contains(text, "goroutine ") {
		t.Errorf("exit code %d:\n%s", code, text)
	}
}

func profilesOf(t *testing.T, p *running) string {
	t.Helper()
	var address string
	eventually(t, "address of profiles", func() bool {
		for line := range strings.Lines(p.stderr.String()) {
			var entry struct{ Event, Address string }
			if json.Unmarshal([]byte(line), &entry) == nil && entry.Event == "serving_profiles" {
				address = entry.Address
			}
		}
		return address != ""
	})
	return address
}
