package main

import (
	"strings"
	"testing"
)

// At a strict start one line names the first file that is wrong.
func aStrictStartEndsAtAWrongFile(t *testing.T) {
	t.Parallel()
	code, _, stderr := command(t, []string{"KUSTOMER_SECRET_KEY=" + testSecret}, "", "serve", "--strict-start",
		"--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--caller-tokens-file", "/no/such")
	last := stderr[strings.LastIndex(strings.TrimSpace(stderr), "\n")+1:]
	if code != exitUsage || last != "chatidentity: --caller-tokens-file: open /no/such: no such file or directory\n" {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}
