package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// command runs the program to its end.
func command(t *testing.T, env []string, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return commandOf(t, program, env, stdin, args...)
}

// commandOf does it with another program.
func commandOf(t *testing.T, program string, env []string, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, program, args...)
	c.Env = append(os.Environ(), env...)
	c.Stdin = strings.NewReader(stdin)
	var out, err bytes.Buffer
	c.Stdout, c.Stderr = &out, &err
	runErr := c.Run()
	var exit *exec.ExitError
	if runErr != nil && !errors.As(runErr, &exit) {
		t.Fatal(runErr)
	}
	said := err.String()
	for line := range strings.Lines(said) { // on a slow machine any command may wait
		if strings.HasPrefix(line, "waiting for ") {
			said = strings.Replace(said, line, "", 1)
		}
	}
	return c.ProcessState.ExitCode(), out.String(), said
}
