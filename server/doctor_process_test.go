package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// With a secret's file the clock is the kernel's word, which is another on each
// machine.
func TestDoctorOnASecretFile(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text   string
		status result
		detail string
	}{
		"good":                     {canarySecret + "\n", "", ""},
		"empty":                    {"\n", resultFailed, "--secret-file"},
		"too large":                {strings.Repeat("canary", 1000), resultFailed, "4096"},
		"with a space at its end":  {canarySecret + " \n", resultWarning, "white space"},
		"Kustomer's whole answer":  {`{"data":{"attributes":{"secret":"` + canarySecret + `"}}}`, resultWarning, "brace"},
		"with a mark at its start": {"\ufeff" + canarySecret, resultWarning, "byte order mark"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPatient(t)
			p.secretFile(t, test.text)
			found := p.examine(t)
			delete(found, checkClock)
			if got := found[checkSecret]; got.Status != test.status || !strings.Contains(got.Detail, test.detail) {
				t.Errorf("%q %q, want %q %q", got.Status, got.Detail, test.status, test.detail)
			}
			delete(found, checkSecret)
			if len(found) > 0 {
				t.Errorf("found also %v", found)
			}
		})
	}
}

// A sidecar that runs is told of, and does not notice.
func TestDoctorBesideARunningSidecar(t *testing.T) {
	t.Parallel()
	p := newPatient(t)
	p.secretFile(t, canarySecret)
	sidecar := p.serve(t, "--listen", "unix:"+p.path("s"), "--allow-uid", p.flags["allow-uid"])
	p.flags["listen"] = "unix:" + p.path("s") + "," + sidecar.address
	found := p.examine(t)
	for _, check := range []string{"listen unix:" + p.path("s"), "listen " + sidecar.address, checkAuditFile} {
		if got := found[check]; got.Status != resultFailed || !strings.Contains(got.Detail, "in use") {
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

// Serve's user is another than the one who made the files.
func TestDoctorRunsAsTheUserOfServe(t *testing.T) {
	t.Parallel()
	needs(t, "root, to run as another user,", os.Getuid() == 0)
	const user = 23460
	p := newPatient(t)
	chmod(t, p.directory, 0o755)
	p.secretFile(t, canarySecret)
	c := exec.Command(program, p.args()...)
	c.Env = p.env
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
	stdout, _ := c.Output()
	found := diagnosis(t, c.ProcessState.ExitCode(), string(stdout), "")
	for check, detail := range map[string]string{
		checkSecret: "readable by user 23460", checkAuditKeys: "permission denied", checkAuditFile: "writable for user 23460",
		"listen unix:" + p.path("s"): "writable for user 23460",
	} {
		if got := found[check]; got.Status != resultFailed || !strings.Contains(got.Detail, detail) {
			t.Errorf("%s: %v", check, got)
		}
	}
}

// A file that is a mount of its own, as with subPath, stays as it is forever.
func TestDoctorKnowsAFileThatIsNeverUpdated(t *testing.T) {
	t.Parallel()
	needs(t, "root, to mount,", os.Getuid() == 0)
	p := newPatient(t)
	p.secretFile(t, canarySecret)
	script := `mount --bind "$1" "$1" && shift && exec "$@"`
	path := p.flags["secret-file"]
	p.flags["secret-file"] = filepath.Base(path) // mounts have whole paths
	c := exec.Command("unshare", append([]string{"--mount", "sh", "-c", script, "sh", path, program}, p.args()...)...)
	c.Dir = p.directory
	stdout, err := c.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stdout)
	}
	found := diagnosis(t, 0, string(stdout), "")
	if got := found[checkUpdates]; got.Status != resultWarning || !strings.Contains(got.Detail, "subPath") {
		t.Errorf("%v", found)
	}
}

func TestDoctorOnRedis(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	if err := server.ConfigSet(t.Context(), "requirepass", canaryPassword).Err(); err != nil {
		t.Fatal(err)
	}
	p := newPatient(t)
	p.flags["limit-redis"] = "unix://" + server.socket
	p.flags["limit-redis-timeout"] = "5s"
	p.flags["limit-redis-password-file"] = p.write(t, "password", canaryPassword+"\n")
	if found := p.examine(t); len(found) > 0 {
		t.Errorf("found %v", found)
	}
	p.write(t, "password", "canary-wrong\n")
	if got := p.examine(t)[checkRedis]; got.Status != resultFailed || !strings.Contains(got.Detail, "WRONGPASS") {
		t.Errorf("with a wrong password: %v", got)
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

// What serve refuses at once, doctor refuses in the same words.
func TestDoctorRefusesWhatServeRefuses(t *testing.T) {
	t.Parallel()
	env := []string{"KUSTOMER_API_KEY=" + canaryAPIKey}
	for _, args := range [][]string{
		{"--api-url", "https://acme.kustomerapp.com"}, {"--listen", "0.0.0.0:1234", "--organization", "acme"}, {"--secret-file", "x"}, {"--limit-caller", "many"},
	} {
		_, _, serve := command(t, env, "", append([]string{"serve"}, args...)...)
		code, stdout, doctor := command(t, env, "", append([]string{"doctor"}, args...)...)
		if code != 2 || stdout != "" || doctor != serve || doctor == "" {
			t.Errorf("%v: code %d, %q %q, serve says %q", args, code, stdout, doctor, serve)
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
