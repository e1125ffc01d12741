package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// An app under another user ID calls through a 0660 socket of a shared group; a
// user ID that is not listed is refused, and leaves one record a second at most.
func TestOtherUsersOverTheSocket(t *testing.T) {
	t.Parallel()
	needs(t, "root, to run as other users,", os.Getuid() == 0)
	const allowed, stranger, group = 23456, 23457, 23458
	directory, err := os.MkdirTemp("", "chatidentity-sock-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(directory) })
	if err := os.Chown(directory, 0, group); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(directory, 0o770|os.ModeSetgid); err != nil { // as fsGroup makes an emptyDir
		t.Fatal(err)
	}
	socket, file := filepath.Join(directory, "s"), filepath.Join(t.TempDir(), "audit.jsonl")
	start(t, withSecret("--listen", "unix:"+socket, "--allow-uid", strconv.Itoa(allowed), "--audit-file", file))
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o660 {
		t.Fatalf("socket %v, error %v", info, err)
	}
	as := func(uid, gid uint32, args ...string) (string, int) {
		c := exec.Command(program, append(args, "--address", "unix:"+socket)...)
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}
		c.Env = []string{}
		text, _ := c.CombinedOutput()
		return string(text), c.ProcessState.ExitCode()
	}
	if text, code := as(allowed, group, "issue", "--external-id", "user_id"); code != 0 || strings.Count(text, ".") != 2 {
		t.Errorf("the allowed user: %d %s", code, text)
	}
	if text, code := as(stranger, stranger, "issue", "--external-id", "user_id"); code != 1 || !strings.Contains(text, "permission denied") {
		t.Errorf("a user outside the group: %d %s", code, text)
	}
	if text, code := as(0, 0, "health"); code != 0 || !strings.Contains(text, "SERVING") {
		t.Errorf("health, as the sidecar's own user: %d %s", code, text)
	}
	if text, code := as(0, 0, "issue", "--external-id", "user_id"); code != 1 || !strings.Contains(text, "CALLER_DENIED") {
		t.Errorf("issue, as the sidecar's own user: %d %s", code, text)
	}
	const calls = 12
	began := time.Now()
	for range calls {
		if text, code := as(stranger, group, "issue", "--external-id", "user_id"); code != 1 || !strings.Contains(text, "PERMISSION_DENIED CALLER_DENIED") {
			t.Errorf("a user in the group who is not listed: %d %s", code, text)
		}
	}
	var own, summed, counted int
	eventually(t, "records of all refusals", func() bool {
		own, summed, counted = 0, 0, 0
		for _, record := range records(t, file) {
			if record["caller"] != "uid:"+strconv.Itoa(stranger) {
				continue
			}
			if n, isSummary := record["count"].(float64); isSummary {
				summed++
				counted += int(n)
			} else {
				own++
			}
		}
		return own+counted == calls
	})
	seconds := int(time.Since(began)/time.Second) + 2
	if own > seconds || summed > seconds {
		t.Errorf("%d records and %d summaries of %d calls within %d seconds", own, summed, calls, seconds)
	}
}

// The secret is not in the environment that other processes of the same user
// could read, and the process leaves no core file.
func TestHardening(t *testing.T) {
	t.Parallel()
	needs(t, "root, to run as another user,", os.Getuid() == 0)
	const user = 23459
	c := exec.Command(program, "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
	c.Env = []string{"KUSTOMER_SECRET_KEY=" + testSecret}
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
	log := &output{}
	c.Stderr = log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	}()
	eventually(t, "start", func() bool { return strings.Contains(log.String(), `"serving"`) })
	proc := fmt.Sprintf("/proc/%d/", c.Process.Pid)
	for _, secret := range []string{"environ", "mem", "maps"} {
		peek := exec.Command("cat", proc+secret)
		peek.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
		if text, err := peek.CombinedOutput(); err == nil || !strings.Contains(string(text), "Permission denied") {
			t.Errorf("the same user reads %s: %s", secret, text)
		}
	}
	limits, err := os.ReadFile(proc + "limits")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(limits)) {
		if name, rest, _ := strings.Cut(line, "  "); name == "Max core file size" && strings.Join(strings.Fields(rest)[:2], " ") != "0 0" {
			t.Errorf("core files are allowed: %s", line)
		}
	}
}
