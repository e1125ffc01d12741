package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/kustomer/standin"
	"github.com/chatidentity/chatidentity/server/internal/secret"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

// The secret changes under load, from each source: no call fails, each token
// verifies under the secret that its record names, and VerifyToken knows the
// secret before.
func TestSecretChangesUnderLoad(t *testing.T) {
	t.Parallel()
	vendor := standin.Options{APIKey: canaryAPIKey, Secret: rotated(0)}
	for name, test := range map[string]struct {
		rounds int
		source func(*testing.T) (source []string, change func(n int, p *running))
	}{
		"file, replaced": {rounds(20, 100, 1000), func(t *testing.T) ([]string, func(int, *running)) {
			path := filepath.Join(t.TempDir(), "secret")
			replace := func(n int, _ *running) {
				if err := writeAtomically(path, rotated(n)); err != nil {
					t.Error(err)
				}
			}
			replace(0, nil)
			return []string{"--secret-file", path}, replace
		}},
		"API, asked each second": {rounds(2, 15, 1000), func(t *testing.T) ([]string, func(int, *running)) {
			api := standin.New(vendor)
			return []string{"--secret-refresh", "1s", "--api-url", startVendor(t, api)},
				func(n int, _ *running) { api.SetSecret(rotated(n)) }
		}},
		"API, asked on SIGHUP": {rounds(2, 15, 1000), func(t *testing.T) ([]string, func(int, *running)) {
			api := standin.New(vendor)
			return []string{"--secret-refresh", "1h", "--api-url", startVendor(t, api)}, func(n int, p *running) {
				api.SetSecret(rotated(n))
				if err := p.Process.Signal(syscall.SIGHUP); err != nil {
					t.Error(err)
				}
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source, change := test.source(t)
			ledger := newLedger(test.rounds)
			p := startRotating(t, ledger, source)
			eventually(t, "secret", func() bool { code, _ := p.get(t, "/readyz"); return code == 200 })
			goroutines, files := p.metric(t, "go_goroutines"), p.metric(t, "process_open_fds")
			if goroutines == 0 || files == 0 {
				t.Fatal("the metrics tell no goroutines or files")
			}
			t.Run("load", func(t *testing.T) { // its connections end with it
				stop := load(t, p, 4, ledger.issued)
				defer stop()
				client := p.client(t)
				before := issueUnder(t, client, 0)
				for n := 1; n <= test.rounds; n++ {
					ledger.changing(n)
					change(n, p)
					eventually(t, fmt.Sprintf("token under secret %d", n), func() bool { return ledger.hasSeen(n) })
					after := issueUnder(t, client, n)
					assertVerdict(t, client, before, pb.Verdict_VERDICT_PREVIOUS_SECRET)
					assertVerdict(t, client, after, pb.Verdict_VERDICT_ACCEPTED)
					before = after
				}
			})
			if shown := p.metric(t, `chatidentity_secret_info{organization="default",secret_id="`+ledger.ids[test.rounds]+`"}`); shown != 1 {
				t.Errorf("the fingerprint's metric is %v", shown)
			}
			eventually(t, "return of goroutines and files to the start", func() bool {
				return p.metric(t, "go_goroutines") <= goroutines && p.metric(t, "process_open_fds") <= files
			})
			p.stop(t)
			ledger.assert(t, test.rounds)
		})
	}
}

func rotated(n int) string { return fmt.Sprintf("canary-rotated-%d-0123456789-0123456789", n) }

func startVendor(t *testing.T, vendor *standin.Vendor) string {
	t.Helper()
	url, stop, err := vendor.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return url
}

// startRotating starts a sidecar whose records the ledger reads.
func startRotating(t *testing.T, ledger *ledger, source []string) *running {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ledger.read.Go(func() {
		defer reader.Close()
		ledger.follow(t, reader)
	})
	s := setup{args: append(append([]string{"--audit-timeout", "30s"}, unlimited...), source...), stdout: writer}
	if source[0] != "--secret-file" {
		s.env = []string{"KUSTOMER_API_KEY=" + canaryAPIKey}
	}
	p := start(t, s)
	writer.Close()
	return p
}

// ledger joins tokens with their records. What was joined is checked and thrown
// away, so that a long run needs little memory.
type ledger struct {
	ids  []string // fingerprints, by the number of the secret
	read sync.WaitGroup

	mu       sync.Mutex
	numbers  map[string]int
	changed  []time.Time // when the secret of that number became another
	tokens   map[string]receipt
	named    map[string]string // secret_id by audit_id, of tokens not received yet
	latest   int
	joined   int
	problems []string
	late     time.Duration // the last token after its secret was replaced
}

type receipt struct {
	token string
	at    time.Time
}

func newLedger(rounds int) *ledger {
	l := &ledger{numbers: map[string]int{}, changed: make([]time.Time, rounds+1), tokens: map[string]receipt{}, named: map[string]string{}}
	for n := range rounds + 1 {
		known, err := secret.New(sensitive.New(rotated(n)))
		if err != nil {
			panic(err)
		}
		l.ids = append(l.ids, known.ID)
		l.numbers[known.ID] = n
	}
	return l
}

// changing notes that from now on secret n replaces the one before.
func (l *ledger) changing(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changed[n-1] = time.Now()
}

func (l *ledger) issued(reply *pb.IssueTokenResponse, err error) {
	received := receipt{reply.GetToken(), time.Now()}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.problems = append(l.problems, "a call failed: "+err.Error())
		return
	}
	l.tokens[reply.GetAuditId()] = received
	l.join(reply.GetAuditId())
}

// follow reads records until the sidecar ends.
func (l *ledger) follow(t *testing.T, from *os.File) {
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		var record struct {
			Event    string `json:"event"`
			Outcome  string `json:"outcome"`
			AuditID  string `json:"audit_id"`
			SecretID string `json:"secret_id"`
		}
		if err := json.Unmarshal(lines.Bytes(), &record); err != nil {
			t.Errorf("%v: %s", err, lines.Bytes())
		}
		if record.Event == "token.issue" && record.Outcome == "OK" {
			l.mu.Lock()
			l.named[record.AuditID] = record.SecretID
			l.join(record.AuditID)
			l.mu.Unlock()
		}
	}
}

// join checks a token under the secret that its record names, once both are
// there.
func (l *ledger) join(auditID string) {
	received, hasToken := l.tokens[auditID]
	secretID, hasRecord := l.named[auditID]
	if !hasToken || !hasRecord {
		return
	}
	delete(l.tokens, auditID)
	delete(l.named, auditID)
	n, known := l.numbers[secretID]
	if !known || !signedWith(received.token, rotated(n)) {
		l.problems = append(l.problems, fmt.Sprintf("the token of %s does not verify under the secret %s that its record names", auditID, secretID))
		return
	}
	l.joined++
	l.latest = max(l.latest, n)
	if replaced := l.changed[n]; !replaced.IsZero() {
		l.late = max(l.late, received.at.Sub(replaced))
	}
}

func (l *ledger) hasSeen(n int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.latest >= n
}

// assert is called when the sidecar has ended.
func (l *ledger) assert(t *testing.T, changes int) {
	t.Helper()
	l.read.Wait()
	for _, problem := range l.problems[:min(len(l.problems), 10)] {
		t.Error(problem)
	}
	if len(l.tokens) > 0 {
		t.Errorf("%d tokens have no record", len(l.tokens))
	}
	t.Logf("%d changes of the secret, %d tokens, %d faults; the last token under an old secret came %s after its change",
		changes, l.joined, len(l.problems), l.late.Round(time.Millisecond))
}

// issueUnder issues a token, which must be signed with secret n: it has been
// seen, and nothing goes back to the one before.
func issueUnder(t *testing.T, client pb.ChatIdentityServiceClient, n int) string {
	t.Helper()
	reply, err := client.IssueToken(t.Context(), issueFor("user_id", ""))
	if err != nil {
		t.Fatal(err)
	}
	if !signedWith(reply.GetToken(), rotated(n)) {
		t.Errorf("a token is not signed with secret %d, which was in use before", n)
	}
	return reply.GetToken()
}

func assertVerdict(t *testing.T, client pb.ChatIdentityServiceClient, token string, want pb.Verdict) {
	t.Helper()
	reply, err := client.VerifyToken(t.Context(), &pb.VerifyTokenRequest{Token: token})
	if err != nil || reply.GetVerdict() != want {
		t.Errorf("verdict %v, %v, want %v", reply.GetVerdict(), err, want)
	}
}
