package conformance

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

const root = "../.."

// TestBackends follows each README and drives each backend. One at a time: the
// builds take both cores.
//
//nolint:paralleltest // see above
func TestBackends(t *testing.T) {
	table := newTable()
	defer table.print(t)
	binary := buildSidecar(t)
	for _, l := range languages {
		t.Run(l.name, func(t *testing.T) {
			row := table.row(l.name)
			l.requireTools(t)
			readme := l.readme(t)
			s := &sidecar{binary: binary, socket: filepath.Join(socketDirectory(t), "s"), audit: filepath.Join(t.TempDir(), "audit.jsonl")}
			s.start(t)

			began := time.Now()
			b := startBackend(t, readme.run, "unix:"+s.socket)
			row["cold start"] = time.Since(began).Round(time.Second).String()

			row["token verified"], row["vectors"] = checkTokens(t, l, readme, b)
			row["unix socket"] = "yes" // all of the above came through it
			checkReadmeCurl(t, readme, b)
			row["trail"] = checkTrail(t, s, b)
			row["RetryInfo"] = checkRefusals(t, s, b)
			row["deadline"] = checkAnnounced(t, l, s, b) + ", took " + checkDeadline(t, s, b)
			row["degradation"] = checkDegradation(t, s, b)
			row["retry"] = checkRetry(t, s, b)
			checkLogKeepsSecrets(t, b)

			s.kill(t)
			s.start(t)
			overLoopback := startBackend(t, readme.run, s.loopback)
			overLoopback.logIn(t, "lo").awaitToken(t)
			row["loopback"] = "yes"
			row["beside large metadata"] = checkMetadata(t, binary, l)
		})
	}
}

// socketDirectory is short: a unix socket's path has at most 107 bytes.
func socketDirectory(t *testing.T) string {
	t.Helper()
	directory, err := os.MkdirTemp("", "ci-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(directory) })
	return directory
}

// checkReadmeCurl types what the README says to try.
func checkReadmeCurl(t *testing.T, readme readme, b *backend) {
	t.Helper()
	script := strings.ReplaceAll(readme.try, "http://127.0.0.1:8080", b.url)
	directory := t.TempDir()
	eventually(t, func() error {
		try := exec.CommandContext(t.Context(), "bash", "-ec", script)
		try.Dir = directory
		output, err := try.CombinedOutput()
		if err != nil || !strings.Contains(string(output), `"token":"ey`) {
			return fmt.Errorf("the README's curl: %w\n%s", err, output)
		}
		return nil
	})
}

// checkTrail: the IDs of the browser's request stand in the sidecar's record, and what is none does
// not keep the user from a token.
func checkTrail(t *testing.T, s *sidecar, b *backend) string {
	t.Helper()
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	user := b.logIn(t, "traced")
	user.headers = http.Header{"X-Request-Id": {"conformance:1"}, "Traceparent": {"00-" + trace + "-00f067aa0ba902b7-01"}}
	user.awaitToken(t)
	records, err := os.ReadFile(s.audit)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(records), `"request_id":"conformance:1","trace_id":"`+trace+`"`) {
		t.Fatalf("no record has the IDs of the request:\n%s", records)
	}
	user.headers = http.Header{"X-Request-Id": {"caf\xe9 \xff"}}
	user.awaitToken(t)
	return "yes"
}

// checkRefusals: nobody logged in, a bad user ID, and too many tokens.
func checkRefusals(t *testing.T, s *sidecar, b *backend) string {
	t.Helper()
	if answer := b.anonymous(t).chatToken(t); answer.status != http.StatusUnauthorized {
		t.Fatalf("without a session: %d, want 401", answer.status)
	}
	logged := b.watchLog(t)
	if answer := b.logIn(t, " leading-space").decided(t); answer.status != http.StatusUnprocessableEntity {
		t.Fatalf("INVALID_ARGUMENT: %d, want 422", answer.status)
	}
	if !logged("INVALID_ARGUMENT") || !logged("INVALID_CUSTOMER") || logged(alarm) || strings.Contains(b.log(t), "leading-space") {
		t.Fatalf("the log must name code and reason of the bad user ID, and not the ID:\n%s", b.log(t))
	}
	greedy := b.logIn(t, "greedy")
	began := time.Now()
	for range burst {
		greedy.decided(t)
	}
	before := s.handled(t, "ResourceExhausted")
	answer := greedy.decided(t)
	// A token comes back every 60/burst seconds, counted from the first.
	most := 60 / burst
	least := max(1, most-int(time.Since(began).Seconds())-1)
	seconds, err := strconv.Atoi(answer.header.Get("Retry-After"))
	if answer.status != http.StatusTooManyRequests || err != nil || seconds < least || seconds > most {
		t.Fatalf("over the limit: %d, Retry-After %q, want 429 and %d to %d", answer.status, answer.header.Get("Retry-After"), least, most)
	}
	if calls := s.handled(t, "ResourceExhausted") - before; calls != 1 {
		t.Fatalf("RESOURCE_EXHAUSTED was asked for %d times, want once: it must not be retried", calls)
	}
	return fmt.Sprintf("429, %d s", seconds)
}

// checkDeadline: a sidecar that hangs costs a page its deadline. How long that
// is, is told and not judged; see checkAnnounced.
func checkDeadline(t *testing.T, s *sidecar, b *backend) string {
	t.Helper()
	user := b.logIn(t, "patient")
	user.awaitToken(t)
	logged := b.watchLog(t)
	s.hang(t)
	began := time.Now()
	answer := user.chatToken(t)
	took := time.Since(began)
	user.page(t, "patient")
	s.goOn(t)
	if !answer.degraded() || !logged("DEADLINE_EXCEEDED") || logged(alarm) {
		t.Fatalf("while the sidecar hangs: %d %v\n%s", answer.status, answer.fields, b.log(t))
	}
	user.awaitToken(t)
	return took.Round(10 * time.Millisecond).String()
}

// checkDegradation: the sidecar dies under the backend and comes back.
func checkDegradation(t *testing.T, s *sidecar, b *backend) string {
	t.Helper()
	s.kill(t)
	logged := b.watchLog(t)
	user := b.logIn(t, "stranded")
	for range 5 {
		if answer := user.chatToken(t); !answer.degraded() {
			t.Fatalf("while the sidecar is dead: %d %v", answer.status, answer.fields)
		}
		user.page(t, "stranded")
	}
	if !logged("UNAVAILABLE") || logged(alarm) {
		t.Fatalf("the log must name UNAVAILABLE, and no wrong set-up:\n%s", b.log(t))
	}
	s.start(t)
	began := time.Now()
	user.awaitToken(t)
	return "back after " + time.Since(began).Round(100*time.Millisecond).String()
}

// checkRetry: UNAVAILABLE is tried three times.
func checkRetry(t *testing.T, s *sidecar, b *backend) string {
	t.Helper()
	s.kill(t)
	s.startWithoutSecret(t)
	user := b.logIn(t, "insistent")
	eventually(t, func() error {
		before := s.handled(t, "Unavailable")
		if answer := user.chatToken(t); !answer.degraded() {
			t.Fatalf("without a secret: %d %v", answer.status, answer.fields)
		}
		// Fewer while it connects anew, or where the deadline came first.
		calls := s.handled(t, "Unavailable") - before
		if calls > 3 {
			t.Fatalf("UNAVAILABLE was tried %d times, want 3", calls)
		}
		if calls < 3 {
			return fmt.Errorf("UNAVAILABLE was tried %d times, want 3", calls)
		}
		return nil
	})
	return "3 tries"
}

// checkLogKeepsSecrets: no token was written down.
func checkLogKeepsSecrets(t *testing.T, b *backend) {
	t.Helper()
	if strings.Contains(b.log(t), "eyJ") {
		t.Fatal("the backend's log holds a token")
	}
}

// table is what the test prints at its end.
type table struct {
	rows []map[string]string
}

var columns = []string{
	"language", "token verified", "vectors", "unix socket", "loopback", "trail", "deadline", "RetryInfo", "retry", "degradation", "beside large metadata", "cold start",
}

func newTable() *table { return &table{} }

func (tb *table) row(language string) map[string]string {
	row := map[string]string{"language": language}
	tb.rows = append(tb.rows, row)
	return row
}

func (tb *table) print(t *testing.T) {
	t.Helper()
	var text strings.Builder
	writer := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(writer, strings.Join(columns, "\t"))
	for _, row := range tb.rows {
		cells := make([]string, len(columns))
		for i, column := range columns {
			if cells[i] = row[column]; cells[i] == "" {
				cells[i] = "-"
			}
		}
		fmt.Fprintln(writer, strings.Join(cells, "\t"))
	}
	writer.Flush()
	t.Logf("\n%s", text.String())
}
