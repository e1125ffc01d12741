package main

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The trail of a running sidecar is verified and searched by its commands.
func TestAuditCommands(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	file, key := filepath.Join(directory, "audit.jsonl"), filepath.Join(directory, "key")
	if err := os.WriteFile(key, []byte("2026:"+base64.StdEncoding.EncodeToString(make([]byte, 32))+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	otherKey := filepath.Join(directory, "other-key")
	if err := os.WriteFile(otherKey, []byte(strings.Repeat("B", 42)+"A=\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, withSecret("--audit-file", file, "--audit-key-file", key))
	first, err := p.client(t).IssueToken(t.Context(), issueFor("user_id", "ada@example.com"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.client(t).IssueToken(t.Context(), issueFor("other", "")); err != nil {
		t.Fatal(err)
	}
	if code := p.stop(t); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	edited := filepath.Join(t.TempDir(), "edited.jsonl")
	if err := os.WriteFile(edited, []byte(strings.Replace(string(text), `"caller":"loopback"`, `"caller":"loopbacc"`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	truncated := filepath.Join(t.TempDir(), "truncated.jsonl.gz")
	if err := os.WriteFile(truncated, truncatedGzip(t, text), 0o600); err != nil {
		t.Fatal(err)
	}
	several := severalLogs(t, text)
	for name, test := range map[string]struct {
		stdin  string
		args   []string
		code   int
		stdout string
		stderr string
	}{
		"verify":               {"", []string{"verify", "--audit-key-file", key, file}, 0, `"ok":true,"records":3`, ""},
		"verify in words":      {"", []string{"verify", "--output", "text", "--audit-key-file", key, file}, 0, "3 records whole", ""},
		"verify standard in":   {string(text), []string{"verify", "--audit-key-file", key, "-"}, 0, `"records":3`, ""},
		"verify, edited":       {"", []string{"verify", "--audit-key-file", key, edited}, 1, `"fault":"edited"`, ""},
		"verify without key":   {"", []string{"verify", file}, 2, "", "--audit-key-file"},
		"verify, other key":    {"", []string{"verify", "--audit-key-file", otherKey, file}, 1, `"fault":"not verifiable"`, ""},
		"verify, empty head":   {"", []string{"verify", "--audit-key-file", key, "--head", "", file}, 2, "", "--head"},
		"verify, empty from":   {"", []string{"verify", "--audit-key-file", key, "--from-head", "", file}, 2, "", "--from-head"},
		"find, empty caller":   {"", []string{"find", "--caller", "", file}, 2, "", "--caller: the value is empty"},
		"find, empty email":    {"", []string{"find", "--audit-key-file", key, "--email", "", "--caller", "loopback", file}, 2, "", "--email: the value is empty"},
		"find, no caller":      {"", []string{"find", "--caller", "checkout", file}, 2, "", `--caller: "checkout" is in no record: it must be loopback, uid:N, token:NAME or certificate:NAME`},
		"find, half an ID":     {"", []string{"find", "--audit-id", first.GetAuditId()[:13], file}, 2, "", "--audit-id: "},
		"find, no trace":       {"", []string{"find", "--trace-id", "4bf92f", file}, 2, "", "32 hexadecimal digits"},
		"find, no request":     {"", []string{"find", "--request-id", "a b", file}, 2, "", "--request-id: "},
		"find, no such file":   {"", []string{"find", "--caller", "loopback", "/no/such/file"}, 2, "", "/no/such/file"},
		"verify, no such head": {"", []string{"verify", "--audit-key-file", key, "--head", "9:" + strings.Repeat("0", 64), file}, 1, `"fault":"tail cut"`, ""},
		"verify, bad head":     {"", []string{"verify", "--audit-key-file", key, "--head", "9", file}, 2, "", "--head"},
		"verify, no such file": {"", []string{"verify", "--audit-key-file", key, "/no/such/file"}, 2, "", "/no/such/file"},
		"verify, truncated":    {"", []string{"verify", "--audit-key-file", key, truncated}, 2, `"ok":false,"records":3,`, "unexpected EOF"},
		"verify, trunc., text": {"", []string{"verify", "--output", "text", "--audit-key-file", key, truncated}, 2, "3 records whole", "unexpected EOF"},
		"find, truncated":      {"", []string{"find", "--audit-id", first.GetAuditId(), truncated}, 2, `"outcome":"OK"`, "unexpected EOF"},
		"verify, endless":      {string(text) + strings.Repeat("\x00", 17<<20), []string{"verify", "--audit-key-file", key, "-"}, 2, `"records":3,`, "line 4: a line is longer than 16 MiB"},
		"find, endless":        {string(text) + strings.Repeat("\x00", 17<<20), []string{"find", "--audit-id", first.GetAuditId(), "-"}, 2, `"outcome":"OK"`, "longer than 16 MiB"},
		"verify, no records":   {"root:x:0:0\n", []string{"verify", "--audit-key-file", key, "-"}, 1, `"other_lines":1`, ""},
		"find email":           {"", []string{"find", "--audit-key-file", key, "--email", "Ada@example.com", file}, 0, first.GetAuditId(), "1 of 3 records match"},
		"find external id":     {"", []string{"find", "--audit-key-file", key, "--external-id", "user_id", file}, 0, first.GetAuditId(), "1 of 3"},
		"find nobody":          {"", []string{"find", "--audit-key-file", key, "--external-id", "nobody", file}, 0, "", "0 of 3"},
		"find token":           {first.GetToken(), []string{"find", "--token", "-", file}, 0, first.GetAuditId(), "1 of 3"},
		"find call":            {"", []string{"find", "--audit-id", first.GetAuditId(), file}, 0, `"outcome":"OK"`, "1 of 3"},
		"find caller":          {"", []string{"find", "--caller", "loopback", file}, 0, first.GetAuditId(), "2 of 3"},
		"find since":           {"", []string{"find", "--since", "2999-01-01T00:00:00Z", file}, 0, "", "0 of 3"},
		"find since a day":     {"", []string{"find", "--since", "2026-01-01", file}, 0, first.GetAuditId(), "3 of 3"},
		"find since an hour":   {"", []string{"find", "--since", "1h", file}, 0, first.GetAuditId(), "3 of 3"},
		"find as text":         {"", []string{"find", "--output", "text", "--caller", "loopback", file}, 0, "token.issue", ""},
		"find as a table":      {"", []string{"find", "--output", "table", "--caller", "loopback", file}, 0, "token.issue", ""},
		"find what?":           {"", []string{"find", file}, 2, "", "--external-id, --email, "},
		"find without key":     {"", []string{"find", "--email", "ada@example.com", file}, 2, "", "--audit-key-file"},
		"find, directory":      {"", []string{"find", "--audit-key-file", key, "--email", "ada@example.com", directory}, 0, first.GetAuditId(), "left out: " + otherKey + ": no audit records in it\n1 of 3"},
		"find, pattern":        {"", []string{"find", "--audit-id", first.GetAuditId(), filepath.Join(directory, "audit*.jsonl")}, 0, first.GetAuditId(), "1 of 3"},
		"find, several logs":   {"", []string{"find", "--audit-id", first.GetAuditId(), several}, 0, first.GetAuditId(), "2 of 6"},
		"find, hostile names":  {"", []string{"find", "--audit-id", first.GetAuditId(), several}, 0, "", `left out: ` + several + `/\x1b[2J\u202e\xff\n\x9b\u009b: no audit records in it` + "\n"},
		"find, nothing there":  {"", []string{"find", "--audit-id", first.GetAuditId(), t.TempDir()}, 2, "", "there are no audit files in /"},
		"find, no match":       {"", []string{"find", "--audit-id", first.GetAuditId(), filepath.Join(directory, "*.json")}, 2, "", "no file has a name like that"},
		"follow several logs":  {"", []string{"find", "--follow", "--audit-id", first.GetAuditId(), several}, 2, "", "--follow goes with one log, and here are 2: " + several + "/a\\u202e.jsonl, " + several + "/b.jsonl"},
		"verify, directory":    {"", []string{"verify", "--audit-key-file", key, directory}, 0, `{"ok":true,"records":3`, "left out: " + key + ": no audit records in it"},
		"verify, several logs": {"", []string{"verify", "--audit-key-file", key, several}, 1, `{"log":"` + several + `/a\u202e.jsonl","ok":false,"records":1`, ""},
		"verify, the second":   {"", []string{"verify", "--audit-key-file", key, several}, 1, `{"log":"` + several + `/b.jsonl","ok":true,"records":3`, ""},
		"verify, in words":     {"", []string{"verify", "--output", "text", "--audit-key-file", key, several}, 1, several + `/a\u202e.jsonl line 2: `, ""},
		"verify, a head of?":   {"", []string{"verify", "--audit-key-file", key, "--head", "9:" + strings.Repeat("0", 64), several}, 2, "", "a head goes with one log, and here are 2"},
		"a token in a flag":    {"", []string{"find", "--token", first.GetToken(), file}, 2, "", "--token takes - alone"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := command(t, nil, test.stdin, append([]string{"audit"}, test.args...)...)
			if code != test.code || !strings.Contains(stdout, test.stdout) || !strings.Contains(stderr, test.stderr) {
				t.Errorf("code %d, output %q, error %q; want %d, %q, %q", code, stdout, stderr, test.code, test.stdout, test.stderr)
			}
			if strings.Contains(stderr, "eyJ") {
				t.Error("the token is repeated")
			}
		})
	}
}

// severalLogs is a directory with two logs, the first of them changed, and another file. Names hold
// what no terminal should see.
func severalLogs(t *testing.T, text []byte) string {
	t.Helper()
	directory := t.TempDir()
	for name, text := range map[string][]byte{
		"a\u202e.jsonl":                 bytes.Replace(text, []byte(`"caller":"loopback"`), []byte(`"caller":"loopbacc"`), 1),
		"b.jsonl":                       text,
		"\x1b[2J\u202e\xff\n\x9b\u009b": []byte("none\n"),
	} {
		if err := os.WriteFile(filepath.Join(directory, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return directory
}

// truncatedGzip is a gzipped file that ends behind all of text, but before the end of the gzip.
func truncatedGzip(t *testing.T, text []byte) []byte {
	t.Helper()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := z.Flush(); err != nil { // and no Close
		t.Fatal(err)
	}
	return packed.Bytes()
}
