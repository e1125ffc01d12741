package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// What asks Kustomer's API can be tried against the stand-in of a running dev, at the address and
// with the key that dev prints.
func TestTheStandInOfDevAnswersOtherCommands(t *testing.T) {
	t.Parallel()
	dev := exec.Command(program, "dev", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--output", "json")
	stdout, err := dev.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := dev.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dev.Process.Kill(); _ = dev.Wait() })
	var shown devReport
	if err := json.NewDecoder(stdout).Decode(&shown); err != nil {
		t.Fatal(err)
	}
	api := []string{"--api-url", shown.APIURL, "--api-key-file", shown.APIKeyFile}
	file := filepath.Join(t.TempDir(), "kustomer.secret")
	if code, out, said := command(t, nil, "", append([]string{"secret", "fetch", "--file", file}, api...)...); code != exitOK {
		t.Fatalf("secret fetch: code %d\n%s%s", code, out, said)
	}
	if fetched, err := os.ReadFile(file); err != nil || string(fetched) != shown.Secret+"\n" {
		t.Errorf("secret fetch wrote %q, %v, want the secret that dev shows", fetched, err)
	}
	free := []string{"--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--output", "text"}
	code, out, said := command(t, nil, "", append(append([]string{"doctor"}, free...), api...)...)
	if code != exitOK || !strings.Contains(out, "ok       API key ") {
		t.Errorf("doctor: code %d\n%s%s", code, out, said)
	}
	sidecar := start(t, setup{args: api})
	if code, out, said := command(t, nil, "", "wait", "--strict", "--address", sidecar.address); code != exitOK {
		t.Fatalf("the secret does not come: code %d\n%s%s", code, out, said)
	}
	token := sidecar.mustIssue(t)
	if code, out, said := command(t, nil, "", "verify", "--address", shown.Address, token); code != exitOK {
		t.Errorf("dev's own sidecar does not accept the token of another with the same secret: code %d\n%s%s", code, out, said)
	}
	if err := dev.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := dev.Wait(); err != nil {
		t.Errorf("dev ended with %v", err)
	}
}
