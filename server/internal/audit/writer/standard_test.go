package writer

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/audit/reader"
)

// helperStdout writes a record to standard output for each line of standard input, and reports the
// result of each on standard error.
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

// stdoutHelper runs helperStdout with that standard output. It returns a function that asks for one
// record and returns the result.
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
	closeForAll(r)
	for range 3 { // SIGPIPE would have ended it
		if got := issue("later"); !strings.Contains(got, "broken pipe") {
			t.Fatalf("without a reader: %s", got)
		}
	}
}

// closeForAll closes a file when no process is between fork and exec, which would have it still.
func closeForAll(f *os.File) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	_ = f.Close()
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
