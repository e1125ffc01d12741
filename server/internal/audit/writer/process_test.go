package writer

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/audit/reader"
)

// Some tests need a process that can be killed or lose its standard output. It is the test binary
// itself: helperEnv says what it does instead of testing.
const helperEnv = "AUDIT_TEST_HELPER"

func TestMain(m *testing.M) {
	switch os.Getenv(helperEnv) {
	case "":
		goleak.VerifyTestMain(m)
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

// helperIssue issues "tokens" to many callers until it is killed, and prints the digest of each one
// when its record is durable: the client's view.
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

// TestKill kills a process with SIGKILL at random moments under load, again and again with the same
// files: every token that the client received must have a record, and the files must be one whole
// chain.
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

// receiveUntilKilled collects the tokens of one process until it kills it.
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
