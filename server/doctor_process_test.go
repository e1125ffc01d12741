package main

import (
	"strings"
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/doctor"
)

// Doctor reports a sidecar that runs, and does not disturb it.
func TestDoctorBesideARunningSidecar(t *testing.T) {
	t.Parallel()
	p := newPatient(t)
	p.secretFile(t, canarySecret)
	sidecar := p.serve(t, "--listen", "unix:"+p.path("s"), "--allow-uid", p.flags["allow-uid"])
	p.flags["listen"] = "unix:" + p.path("s") + "," + sidecar.address
	found := p.examine(t, "beside a running sidecar")
	for _, check := range []string{"listen unix:" + p.path("s"), "listen " + sidecar.address, "audit file"} {
		if got := found[check]; got.Status != doctor.Failed || !strings.Contains(got.Detail, "in use") {
			t.Errorf("%s: %v", check, got)
		}
	}
	if _, err := sidecar.client(t).IssueToken(t.Context(), issueFor("user_id", "")); err != nil {
		t.Error(err)
	}
	code, stdout, _ := command(t, nil, "", "health", "--address", "unix:"+p.path("s"))
	if code != 0 {
		t.Errorf("health over the socket: %d %s", code, stdout)
	}
	if code := sidecar.stop(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestDoctorInWords(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := command(t, []string{"KUSTOMER_SECRET_KEY=canary"}, "", "doctor", "--output", "text",
		"--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
	if code != 0 || stderr != "" || strings.Contains(stdout, "canary") {
		t.Errorf("code %d: %s%s", code, stdout, stderr)
	}
	for _, beginning := range []string{"warning  signing secret ", "warning  identifier policy ", "ok       listen 127.0.0.1:0 ", "7 checks; failed: 0, warnings: "} {
		if !strings.Contains("\n"+stdout, "\n"+beginning) {
			t.Errorf("no line begins with %q:\n%s", beginning, stdout)
		}
	}
}

func TestDoctorHasHelp(t *testing.T) {
	t.Parallel()
	code, stdout, _ := command(t, nil, "", "doctor", "--help")
	if code != 0 || !strings.Contains(stdout, "Example") || !strings.Contains(stdout, "chatidentity doctor") {
		t.Errorf("code %d\n%s", code, stdout)
	}
}

// An init container that fails would keep the app from starting.
func TestDoctorAdvises(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args []string
		says string
	}{
		"a check fails":  {[]string{"--secret-file", "/nowhere/secret", "--output", "text"}, "failed   signing secret"},
		"serve refuses":  {[]string{"--secret-file", "/nowhere/secret", "--listen", "0.0.0.0:0"}, "chatidentity: --listen 0.0.0.0:0"},
		"nothing at all": {nil, "chatidentity: "},
	} {
		for _, advice := range []bool{false, true} {
			args := append([]string{"doctor", "--admin-listen", "127.0.0.1:0"}, test.args...)
			if advice {
				args = append(args, "--advice")
			}
			code, stdout, stderr := command(t, nil, "", args...)
			if (code == 0) != advice || !strings.Contains(stdout+stderr, test.says) {
				t.Errorf("%s, with --advice %t: code %d: %s%s", name, advice, code, stdout, stderr)
			}
		}
	}
}
