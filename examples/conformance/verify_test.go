package conformance

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

const (
	vectorsPath = "server/internal/token/testdata/vectors.json"
	shortKey    = 32      // bytes; see language.refusesShortKeys
	user        = "ada-Ω" // not ASCII: the language's own UTF-8 is part of the check
)

// vector is one of server/internal/token/testdata/vectors.json.
type vector struct {
	Name       string `json:"name"`
	Secret     string `json:"secret"`
	ExternalID string `json:"external_id,omitempty"`
	Email      string `json:"email,omitempty"`
	IssuedAt   int64  `json:"iat"`
	Token      string `json:"token"`
}

// checkTokens has the language's own JWT library check a token that the backend
// handed out, and the vectors. It returns the library's name and the count.
func checkTokens(t *testing.T, l language, readme readme, b *backend) (library, count string) {
	t.Helper()
	answer := b.logIn(t, user).awaitToken(t)
	if answer.Identifier != "external_id" {
		t.Fatalf("POST /chat-token: %d %v\n%s", answer.status, answer.fields, b.log(t))
	}
	if control := answer.header.Get("Cache-Control"); control != "no-store" {
		t.Fatalf("a token may be cached: Cache-Control is %q", control)
	}
	issued := vector{"live", secret, user, "", answer.Expires.Add(-15 * time.Minute).Unix(), answer.Token}
	if age := time.Since(time.Unix(issued.IssuedAt, 0)); age < -time.Minute || age > time.Minute {
		t.Fatalf("expire_time %v is not 15 minutes from now", answer.Expires)
	}
	verify := func(tokens ...vector) (string, error) { return runVerify(t, readme, writeTokens(t, tokens)) }
	if output, err := verify(issued); err != nil {
		t.Fatalf("the token is not good: %v\n%s", err, output)
	}
	otherSecret, otherUser := issued, issued
	otherSecret.Secret, otherUser.ExternalID = "x"+secret, user+"x"
	for _, bad := range []vector{otherSecret, otherUser} {
		if output, err := verify(bad); err == nil {
			t.Fatalf("verify takes anything: %s", output)
		}
	}
	output, err := runVerify(t, readme, absolute(t, filepath.Join(root, vectorsPath)))
	if err != nil {
		t.Fatalf("the vectors: %v\n%s", err, output)
	}
	return readVerdict(t, l, output)
}

// runVerify types the README's command, with another file.
func runVerify(t *testing.T, readme readme, file string) (string, error) {
	t.Helper()
	told := "../../" + vectorsPath
	if !strings.Contains(readme.verify, told) {
		t.Fatalf("the README does not verify %s", told)
	}
	verify := exec.CommandContext(t.Context(), "bash", "-ec", strings.Replace(readme.verify, told, file, 1))
	verify.Dir = root
	output, err := verify.CombinedOutput()
	return string(output), err
}

var verdict = regexp.MustCompile(`(?m)(\d+) tokens verified with (.+?)(?:, (\d+) refused for a short key)?$`)

// readVerdict reads what verify printed: all vectors were verified, or refused
// for a key that the library takes for too short.
func readVerdict(t *testing.T, l language, output string) (library, count string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, vectorsPath))
	if err != nil {
		t.Fatal(err)
	}
	var vectors []vector
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	var short int
	for _, v := range vectors {
		if l.refusesShortKeys && len(v.Secret) < shortKey {
			short++
		}
	}
	found := verdict.FindStringSubmatch(output)
	if found == nil {
		t.Fatalf("verify printed no verdict: %s", output)
	}
	refused := found[3]
	if refused == "" {
		refused = "0"
	}
	if found[1] != fmt.Sprint(len(vectors)-short) || refused != fmt.Sprint(short) {
		t.Fatalf("verify said %q of %d vectors, %d of them with a short key", found[0], len(vectors), short)
	}
	return found[2], fmt.Sprintf("%s of %d", found[1], len(vectors))
}

func writeTokens(t *testing.T, tokens []vector) string {
	t.Helper()
	text, err := json.Marshal(tokens)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "tokens.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
