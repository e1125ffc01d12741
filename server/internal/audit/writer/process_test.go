package writer

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/audit/reader"
)

// The tests here need a process that may be killed or lose its standard output.
// It is the test binary itself: helperEnv says what it does in place of tests.
const helperEnv = "AUDIT_TEST_HELPER"

func TestMain(m *testing.M) {
	switch os.Getenv(helperEnv) {
	case "":
		os.Exit(m.Run())
	case "issue":
		helperIssue()
	case "stdout":
		helperStdout()
	}
}

func helperOptions() Options {
	key, err := audit.NewKey("k1", bytes.Repeat([]byte("k1"), 32))
	if err != nil {
		panic(err)
	}
	return Options{
		File: os.Getenv("AUDIT_TEST_FILE"), Instance: "pod-1", Keys: []*audit.Key{key}, MaxSize: 200_000,
		NoSync: os.Getenv("AUDIT_TEST_SYNC") == "off", Timeout: 200 * time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}
}

// helperIssue issues "tokens" from many callers until it is killed, and prints
// the digest of each one once its record is durable: the client's view.
func helperIssue() {
	l, err := Open(helperOptions())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for {
				digest := digestOf(audit.NewID(time.Now(), nil))
				if l.Write(context.Background(), issued(digest)) == nil {
					_, _ = os.Stdout.WriteString(digest + "\n") // one write, so that a kill never tears it
				}
			}
		})
	}
	wg.Wait()
}

// helperStdout writes records to standard output, one for each line that it
// reads from standard input, and says on standard error what became of each.
func helperStdout() {
	o := helperOptions()
	o.File = "-"
	l, err := Open(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		begin := time.Now()
		err := l.Write(context.Background(), issued(in.Text()))
		fmt.Fprintf(os.Stderr, "result %s %v %v\n", in.Text(), time.Since(begin).Round(time.Millisecond), err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = l.Close(ctx)
}

func helper(t *testing.T, what string, env ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), exe) // it ends with its standard input
	cmd.Env = append(os.Environ(), append(env, helperEnv+"="+what)...)
	return cmd
}

// kills is how often TestKill kills: AUDIT_KILLS, 20 in CI, or a few.
func kills(t *testing.T) int {
	t.Helper()
	if s := os.Getenv("AUDIT_KILLS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if os.Getenv("CI") == "true" {
		return 20
	}
	return 6
}

// TestKill kills a process with SIGKILL at random moments under load, again
// and again over the same files: tokens that the client received minus records
// found must be none, and the files one whole chain.
func TestKill(t *testing.T) {
	t.Parallel()
	for _, sync := range []string{"on", "off"} {
		t.Run("sync "+sync, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "audit.jsonl")
			received := map[string]bool{}
			for range kills(t) {
				receiveUntilKilled(t, received, "AUDIT_TEST_FILE="+path, "AUDIT_TEST_SYNC="+sync)
			}
			o := helperOptions()
			o.File = path
			o.Logger = slog.New(slog.DiscardHandler)
			mustClose(t, mustOpen(t, o)) // repairs the last torn line, if there is one
			files, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "audit*.jsonl"))
			r := mustVerify(t, reader.VerifyOptions{Keys: o.Keys}, reader.Files(files...)...)
			if r.Fault != nil || r.Chains != 1 {
				t.Fatalf("%d files: %v", len(files), r)
			}
			found := digests(t, files...)
			missing, undelivered := 0, 0
			for d := range received {
				if found[d] != 1 {
					missing++
				}
			}
			for d := range found {
				if !received[d] {
					undelivered++
				}
			}
			if missing != 0 {
				t.Fatalf("%d of %d tokens have no record", missing, len(received))
			}
			torn, _ := filepath.Glob(path + ".torn-*")
			t.Logf("%d kills: %d tokens received, 0 without a record; %d records of tokens never delivered; %d torn tails; %d files",
				kills(t), len(received), undelivered, len(torn), len(files))
		})
	}
}

// receiveUntilKilled notes the tokens of one process until it kills it.
func receiveUntilKilled(t *testing.T, received map[string]bool, env ...string) {
	t.Helper()
	cmd := helper(t, "issue", env...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	cmd.Stderr = &logged
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	got := 0
	for after := 1 + rand.IntN(3000); lines.Scan(); {
		if len(lines.Text()) == 64 {
			received[lines.Text()] = true
			got++
		}
		if got == after {
			_ = cmd.Process.Kill()
		}
	}
	_ = cmd.Wait() // "signal: killed"
	if got == 0 {
		t.Fatalf("no token: %s", logged.Bytes())
	}
}

// stdoutHelper runs helperStdout with stdout, and returns what asks it for one
// record and tells the result.
func stdoutHelper(t *testing.T, stdout *os.File) func(digest string) string {
	t.Helper()
	cmd := helper(t, "stdout")
	cmd.Stdout = stdout
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	errs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close() // which ends it
		_, _ = io.Copy(io.Discard, errs)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the process ended with %v", err)
		}
	})
	lines := bufio.NewScanner(errs)
	return func(digest string) string {
		_, _ = io.WriteString(in, digest+"\n")
		for lines.Scan() {
			if result, ok := strings.CutPrefix(lines.Text(), "result "+digest+" "); ok {
				return result
			}
		}
		t.Fatal("the process is gone")
		return ""
	}
}

func TestStandardOutputWithoutAReader(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	issue := stdoutHelper(t, w)
	_ = w.Close()
	if got := issue("first"); !strings.HasSuffix(got, "<nil>") {
		t.Fatalf("with a reader: %s", got)
	}
	_ = r.Close()
	for range 3 { // SIGPIPE would have ended it
		if got := issue("later"); !strings.Contains(got, "broken pipe") {
			t.Fatalf("without a reader: %s", got)
		}
	}
}

func TestStandardOutputThatIsFull(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("no /dev/full here")
		}
		t.Skip("TestStandardOutputThatIsFull: no /dev/full here")
	}
	defer full.Close()
	if got := stdoutHelper(t, full)("first"); !strings.Contains(got, "no space left") {
		t.Fatal(got)
	}
}

// TestStandardOutputThatNobodyReads fills the pipe, and then reads it.
func TestStandardOutputThatNobodyReads(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	passed := 0
	got := make(chan []byte, 1)
	t.Cleanup(func() { // after the process has ended
		report := mustVerify(t, reader.VerifyOptions{Keys: helperOptions().Keys}, inMemory("pipe", <-got))
		if report.Fault != nil || report.Records < uint64(passed) {
			t.Errorf("after %d records: %v", passed, report)
		}
	})
	issue := stdoutHelper(t, w)
	_ = w.Close()
	for ; passed < 10_000; passed++ {
		result := issue(strconv.Itoa(passed))
		if !strings.HasSuffix(result, "<nil>") {
			if !strings.Contains(result, "was not durable within") {
				t.Fatalf("the first call that finds the pipe full: %s", result)
			}
			break
		}
	}
	if got := issue("refused"); !strings.Contains(got, "the sink has not answered") {
		t.Fatalf("a later call: %s", got)
	}
	go func() {
		b, _ := io.ReadAll(r)
		got <- b
	}()
	for !strings.HasSuffix(issue("again"), "<nil>") { // until it notices that the pipe is read
		continue
	}
}

func TestStandardOutputThatWasClosedAtStart(t *testing.T) {
	t.Parallel()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `exec "$0" >&-`, exe)
	cmd.Env = append(os.Environ(), helperEnv+"=stdout")
	cmd.Stdin = strings.NewReader("first\n")
	var logged bytes.Buffer
	cmd.Stderr = &logged
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(logged.String(), "result first ") || !strings.Contains(logged.String(), "audit unavailable") {
		t.Fatalf("a record was taken: %s", logged.Bytes())
	}
}
