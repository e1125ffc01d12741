package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
	"github.com/chatidentity/chatidentity/server/internal/token"
)

// unlimited lets a load through, so that what is tested is not the limits.
var unlimited = []string{"--limit-caller", "off", "--limit-customer", "off"}

// records reads an audit file.
func records(t testing.TB, path string) []map[string]any {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []map[string]any
	for line := range strings.Lines(string(text)) {
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		all = append(all, record)
	}
	return all
}

// load issues tokens with several callers until it is stopped. each is told
// what came of each call.
func load(t *testing.T, p *running, callers int, each func(*pb.IssueTokenResponse, error)) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for n := range callers {
		client := p.client(t)
		running.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				callCtx, done := context.WithTimeout(context.Background(), 20*time.Second)
				each(client.IssueToken(callCtx, issueFor(fmt.Sprintf("user_%d_%d", n, i), "")))
				done()
			}
		})
	}
	return func() {
		cancel()
		running.Wait()
	}
}

// A call is lost when its record says OK, its connection was intact, and no
// reply came. SIGTERM loses none, and the exit code is 0.
func TestSIGTERMUnderLoadLosesNothing(t *testing.T) {
	t.Parallel()
	for round := range rounds(10, 200, 1000) {
		file := filepath.Join(t.TempDir(), "audit.jsonl")
		p := start(t, withSecret(append(unlimited, "--audit-file", file, "--audit-sync", "off")...))
		var mu sync.Mutex
		received := map[string]bool{}
		var answered atomic.Int64
		stop := load(t, p, 8, func(reply *pb.IssueTokenResponse, err error) {
			switch status.Code(err) {
			case codes.OK:
				mu.Lock()
				received[reply.GetAuditId()] = true
				mu.Unlock()
				answered.Add(1)
			case codes.Unavailable: // not taken any more
			default:
				t.Errorf("round %d: %v", round, err)
			}
		})
		eventually(t, "load", func() bool { return answered.Load() > int64(20+round%50) })
		code := p.stop(t)
		stop()
		if code != 0 {
			t.Fatalf("round %d: exit code %d\n%s", round, code, p.stderr)
		}
		for _, record := range records(t, file) {
			id, _ := record["audit_id"].(string)
			if record["event"] == "token.issue" && record["outcome"] == "OK" && !received[id] {
				t.Errorf("round %d: lost %v", round, record)
			}
		}
	}
}

func TestDrainDelayGoesOnAnsweringWhileNotReady(t *testing.T) {
	t.Parallel()
	p := start(t, withSecret("--drain-delay", "1h"))
	if code, body := p.get(t, "/readyz"); code != 200 || body != "ok\n" {
		t.Fatalf("ready: %d %s", code, body)
	}
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "end of readiness", func() bool {
		code, body := p.get(t, "/readyz")
		return code == 503 && strings.HasPrefix(body, "stopping: ")
	})
	if code, _ := p.get(t, "/livez"); code != 200 {
		t.Errorf("live while draining: %d", code)
	}
	if _, err := p.client(t).IssueToken(t.Context(), issueFor("user_id", "")); err != nil {
		t.Errorf("a call while draining: %v", err)
	}
	if code, stdout, _ := command(t, nil, "", "health", "--address", p.address); code != 1 || !strings.Contains(stdout, "NOT_SERVING") {
		t.Errorf("health while draining: %d %s", code, stdout)
	}
}

// A secret that is mounted by Kubernetes changes by a swap of the symlink
// ..data. Each of ten swaps in a row under load takes effect, no call fails, and
// each token verifies under the secret that its record names.
func TestSecretSwapsUnderLoad(t *testing.T) {
	t.Parallel()
	volume := t.TempDir()
	swap := func(n int) string {
		value := fmt.Sprintf("swapped-secret-%d-0123456789-0123456789", n)
		version := filepath.Join(volume, fmt.Sprintf("..version-%d", n))
		if err := os.Mkdir(version, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(version, "secret"), []byte(value+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		link := filepath.Join(volume, "..data_tmp")
		if err := os.Symlink(filepath.Base(version), link); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link, filepath.Join(volume, "..data")); err != nil {
			t.Fatal(err)
		}
		return value
	}
	values := []string{swap(0)}
	if err := os.Symlink(filepath.Join("..data", "secret"), filepath.Join(volume, "secret")); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	p := start(t, setup{args: append(unlimited, "--audit-file", file, "--audit-sync", "off", "--secret-file", filepath.Join(volume, "secret"))})

	var mu sync.Mutex
	var current string // the latest token
	tokens := map[string]string{}
	stop := load(t, p, 4, func(reply *pb.IssueTokenResponse, err error) {
		if err != nil {
			t.Error(err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		current = reply.GetToken()
		tokens[reply.GetAuditId()] = current
	})
	for n := range 11 {
		if n > 0 {
			values = append(values, swap(n))
		}
		eventually(t, fmt.Sprintf("token under secret %d", n), func() bool {
			mu.Lock()
			defer mu.Unlock()
			return signedWith(current, values[n])
		})
	}
	stop()

	// The fingerprint of each secret is the one that its first token's record names.
	ids := map[any]string{}
	for _, record := range records(t, file) {
		id, _ := record["audit_id"].(string)
		text, issued := tokens[id]
		if !issued {
			continue
		}
		value, known := ids[record["secret_id"]]
		if !known {
			for _, candidate := range values {
				if signedWith(text, candidate) {
					value = candidate
				}
			}
			ids[record["secret_id"]] = value
		}
		if !signedWith(text, value) {
			t.Fatalf("the token of %s is not signed with secret %v", id, record["secret_id"])
		}
		delete(tokens, id)
	}
	if len(ids) != 11 || len(tokens) != 0 {
		t.Errorf("%d secrets in the records, want 11; %d tokens without record", len(ids), len(tokens))
	}
}

func signedWith(text, secret string) bool {
	parsed, err := token.Parse(text)
	return err == nil && parsed.SignedWith(sensitive.New(secret))
}

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

// Standard output that is closed, full, or not read: no token without its
// record, an answer within the timeout, and the program lives on.
func TestStandardOutputThatTakesNothing(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	needs(t, "/dev/full", err == nil)
	t.Cleanup(func() { full.Close() })
	closedReader, closedWriter, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	closedReader.Close()
	t.Cleanup(func() { closedWriter.Close() })
	for name, stdout := range map[string]*os.File{"full": full, "a pipe without reader": closedWriter} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, setup{args: []string{"--audit-timeout", "200ms"}, env: []string{"KUSTOMER_SECRET_KEY=" + testSecret}, stdout: stdout})
			for range 3 {
				assertAuditUnavailable(t, p)
			}
			if code, body := p.get(t, "/readyz"); code != 503 || !strings.HasPrefix(body, "audit: ") {
				t.Errorf("ready: %d %s", code, body)
			}
			if code, _ := p.get(t, "/livez"); code != 200 {
				t.Errorf("live: %d", code)
			}
		})
	}
	t.Run("closed", func(t *testing.T) {
		t.Parallel()
		p := start(t, setup{wrap: []string{"sh", "-c", `exec "$0" "$@" >&-`}, env: []string{"KUSTOMER_SECRET_KEY=" + testSecret}})
		assertAuditUnavailable(t, p)
		if code, body := p.get(t, "/readyz"); code != 503 || !strings.HasPrefix(body, "audit: ") {
			t.Errorf("ready: %d %s", code, body)
		}
	})
	t.Run("a pipe that nobody reads, then somebody", func(t *testing.T) {
		t.Parallel()
		reader, writer, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer reader.Close()
		p := start(t, setup{
			args: append(unlimited, "--audit-timeout", "200ms"), env: []string{"KUSTOMER_SECRET_KEY=" + testSecret}, stdout: writer,
		})
		writer.Close()
		client := p.client(t)
		issued := 0
		eventually(t, "full pipe", func() bool { // 64 KiB of records
			_, err := client.IssueToken(t.Context(), issueFor("user_id", ""))
			if err == nil {
				issued++
			}
			return status.Code(err) == codes.Unavailable
		})
		if issued == 0 {
			t.Error("nothing was issued while there was room")
		}
		assertAuditUnavailable(t, p)
		var read output
		go func() { _, _ = reader.WriteTo(&read) }()
		eventually(t, "recovery", func() bool {
			_, err := client.IssueToken(t.Context(), issueFor("user_id", ""))
			return err == nil
		})
		eventually(t, "whole records", func() bool { return strings.Count(read.String(), "token.issue") > issued })
		for line := range strings.Lines(read.String()) {
			if strings.HasSuffix(line, "\n") && !json.Valid([]byte(line)) {
				t.Errorf("a torn record: %s", line)
			}
		}
	})
}

func assertAuditUnavailable(t *testing.T, p *running) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	reply, err := p.client(t).IssueToken(ctx, issueFor("user_id", ""))
	if reply.GetToken() != "" || status.Code(err) != codes.Unavailable || !strings.Contains(fmt.Sprint(status.Convert(err).Details()), "AUDIT_UNAVAILABLE") {
		t.Errorf("reply %v, error %v: want AUDIT_UNAVAILABLE", reply, err)
	}
}

// A log that nobody reads holds up neither a call nor the stop; what did not
// fit is counted, and told when somebody reads again.
func TestALogThatNobodyReads(t *testing.T) {
	t.Parallel()
	for name, readAgain := range map[string]bool{"never": false, "later": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			read := make(chan struct{})
			goOn := sync.OnceFunc(func() { close(read) })
			p := start(t, setup{args: append(unlimited, "--log-level", "debug", "--secret-file", "/nowhere"), readLog: read})
			t.Cleanup(goOn)
			client := p.client(t)
			eventually(t, "dropped line", func() bool { // each call that fails is a line
				for range 100 {
					ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
					_, err := client.IssueToken(ctx, issueFor("user_id", ""))
					cancel()
					if !strings.Contains(fmt.Sprint(status.Convert(err).Details()), "SECRET_UNAVAILABLE") {
						t.Fatalf("error %v", err)
					}
				}
				_, metrics := p.get(t, "/metrics")
				return !strings.Contains(metrics, "chatidentity_log_lines_dropped_total 0\n")
			})
			if readAgain {
				goOn()
				eventually(t, "word of it", func() bool { return strings.Contains(p.stderr.String(), "log lines were dropped") })
			}
			if err := p.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			state, err := p.Process.Wait()
			if err != nil || state.ExitCode() != 0 {
				t.Errorf("ended with %v, error %v", state, err)
			}
		})
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

// A sidecar serves before it has its secret: live at once, not ready, and each
// call gets SECRET_UNAVAILABLE at once. Chat never decides whether the app runs.
func TestBeforeTheSecretIsThere(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	nowhere := []string{"--organization", "default", "--api-url", "http://127.0.0.1:1"}
	for name, how := range map[string]setup{
		"the API does not answer": {args: nowhere, env: []string{"KUSTOMER_API_KEY=test-key"}},
		"no file yet":             {args: []string{"--secret-file", filepath.Join(t.TempDir(), "later")}},
		"no directory yet":        {args: []string{"--secret-file", filepath.Join(t.TempDir(), "later", "secret")}},
		"an empty file":           {args: []string{"--secret-file", empty}},
		"no key file yet":         {args: append(nowhere, "--api-key-file", filepath.Join(t.TempDir(), "later"))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assertWaitsForItsSecret(t, start(t, how))
		})
	}
}

func TestASecretFileThatComesLaterIsTaken(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secret")
	p := start(t, setup{args: []string{"--secret-file", file}})
	assertWaitsForItsSecret(t, p)
	if err := os.WriteFile(file, []byte(testSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "readiness", func() bool {
		code, _ := p.get(t, "/readyz")
		return code == 200
	})
	if _, err := p.client(t).IssueToken(t.Context(), issueFor("user_id", "")); err != nil {
		t.Error(err)
	}
}

func assertWaitsForItsSecret(t *testing.T, p *running) {
	t.Helper()
	if code, body := p.get(t, "/livez"); code != 200 || body != "ok\n" {
		t.Errorf("live: %d %s", code, body)
	}
	if code, body := p.get(t, "/readyz"); code != 503 || !strings.HasPrefix(body, "secret of default: ") || strings.Count(body, "\n") != 1 {
		t.Errorf("ready: %d %s", code, body)
	}
	_, err := p.client(t).IssueToken(t.Context(), issueFor("user_id", ""))
	if !strings.Contains(fmt.Sprint(status.Convert(err).Details()), "SECRET_UNAVAILABLE") {
		t.Errorf("error %v", err)
	}
}

// logrotate does not ask whether the sidecar is stopping.
func TestSIGHUPWhileDraining(t *testing.T) {
	t.Parallel()
	p := start(t, withSecret("--drain-delay", "5s"))
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the drain", func() bool { return strings.Contains(p.stderr.String(), "stopping") })
	if err := p.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if err := p.waited(); err != nil {
		t.Errorf("%v\n%s", err, p.stderr)
	}
}
