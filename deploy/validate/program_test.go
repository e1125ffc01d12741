package validate

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// patience is how long the program may take to do what it must.
const patience = 30 * time.Second

// TestMain keeps results out of go's test cache, which would call them good for a changed product:
// it looks at no file outside this module, and at none that a child reads. Without the log of what
// the test binary opened, cmd/go keeps nothing.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.testlogfile", ""); err != nil {
		panic(err)
	}
	os.Exit(runTests(m))
}

// scratch is a directory for all tests.
var scratch string

func runTests(m *testing.M) int {
	var err error
	if scratch, err = os.MkdirTemp("", "validate-*"); err != nil {
		panic(err)
	}
	defer os.RemoveAll(scratch)
	return m.Run()
}

// compile builds the program as it is in this tree, once.
func compile(t *testing.T) string {
	t.Helper()
	program, err := compileOnce()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

var compileOnce = sync.OnceValues(func() (string, error) {
	program := filepath.Join(scratch, "chatidentity")
	command := exec.Command("go", "build", "-tags", "grpcnotrace", "-o", program, "./server")
	command.Dir = "../.."
	said, err := command.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, said)
	}
	return program, err
})

var (
	flagInHelp     = regexp.MustCompile(`(?m)^\s+(?:-\w, )?(--[a-z-]+)`)
	variableInHelp = regexp.MustCompile(`\$(CHATIDENTITY_[A-Z_]+)`)
)

// help returns the flags and variables that a command has.
func help(t *testing.T, program string, command ...string) map[string]bool {
	t.Helper()
	text, err := exec.Command(program, append(command, "--help")...).Output()
	if err != nil {
		t.Fatalf("chatidentity %s --help: %v", strings.Join(command, " "), err)
	}
	known := map[string]bool{}
	for _, pattern := range []*regexp.Regexp{flagInHelp, variableInHelp} {
		for _, match := range pattern.FindAllSubmatch(text, -1) {
			known[string(match[1])] = true
		}
	}
	return known
}

// named splits a container's arguments into the command and the names of its
// flags and CHATIDENTITY_ variables.
func named(container corev1.Container) (command, names []string) {
	for _, argument := range container.Args {
		if strings.HasPrefix(argument, "--") {
			name, _, _ := strings.Cut(argument, "=")
			names = append(names, name)
		} else {
			command = append(command, argument)
		}
	}
	for _, variable := range container.Env {
		if strings.HasPrefix(variable.Name, "CHATIDENTITY_") {
			names = append(names, variable.Name)
		}
	}
	return command, names
}

func TestFlagsAndVariablesExist(t *testing.T) {
	t.Parallel()
	program := compile(t)
	if known := help(t, program, "serve"); !known["--secret-file"] || !known["CHATIDENTITY_SECRET_FILE"] || known["--nothing"] {
		t.Fatalf("the help was misread: %v", known)
	}
	eachOverlay(t, func(t *testing.T, _ string, documents []document) {
		ours := 0
		for _, container := range containersOf(t, documents) {
			if !strings.Contains(container.Image, "chatidentity") {
				continue
			}
			ours++
			command, names := named(container)
			known := help(t, program, command...)
			for name := range help(t, program, "health") { // commands that are run inside the container
				known[name] = known[name] || strings.HasPrefix(name, "CHATIDENTITY_")
			}
			for _, name := range names {
				if !known[name] {
					t.Errorf("chatidentity %s has no %s", strings.Join(command, " "), name)
				}
			}
			if probe := container.ReadinessProbe; probe != nil {
				command, names := named(corev1.Container{Args: probe.Exec.Command[1:]})
				for known, i := help(t, program, command...), 0; i < len(names); i++ {
					if !known[names[i]] {
						t.Errorf("chatidentity %s has no %s", strings.Join(command, " "), names[i])
					}
				}
			}
		}
		if ours < 3 {
			t.Errorf("looked at %d containers", ours)
		}
	})
}

func containersOf(t *testing.T, documents []document) []corev1.Container {
	t.Helper()
	var all []corev1.Container
	for _, d := range documents {
		if pod := podOf(t, d); pod != nil {
			all = append(append(all, pod.Spec.InitContainers...), pod.Spec.Containers...)
		}
	}
	return all
}

// TestTheProgramStartsAsTheManifestsSay gives the real program the very values
// of every overlay's sidecar. Only places that are not on this machine are moved.
func TestTheProgramStartsAsTheManifestsSay(t *testing.T) {
	t.Parallel()
	program := compile(t)
	eachOverlay(t, func(t *testing.T, _ string, documents []document) {
		sidecar := sidecarsOf(t, documents)[0]
		place := newPlace(t)
		command := exec.Command(program)
		for _, argument := range sidecar.Args {
			command.Args = append(command.Args, place.moved(argument))
		}
		command.Env = []string{"CHATIDENTITY_LISTEN=127.0.0.1:0"}
		for _, variable := range sidecar.Env {
			if variable.ValueFrom == nil {
				command.Env = append(command.Env, variable.Name+"="+place.moved(variable.Value))
			}
		}
		startAndStop(t, command)
	})
}

// place is a directory that stands for the pod's mounts.
type place struct{ *strings.Replacer }

func newPlace(t *testing.T) place {
	t.Helper()
	directory, err := os.MkdirTemp("", "ci") // short, since a socket's path is bounded
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(directory) })
	for name, content := range map[string]string{
		"secret":   "a-secret-of-the-test-of-32-bytes-or-more",
		"password": "redis-password",
		"key":      "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
	} {
		if err := os.WriteFile(filepath.Join(directory, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return place{strings.NewReplacer(
		"/etc/kustomer-api", directory, "/etc/kustomer", directory, "/etc/chatidentity-redis", directory, "/etc/chatidentity-audit", directory,
		"/work", directory,
		"/run/chatidentity", directory, "/var/log/chatidentity", directory,
		"=:9452", "=127.0.0.1:0", "redis.example.com:6379", "127.0.0.1:1",
	)}
}

func (p place) moved(value string) string { return p.Replace(value) }

// startAndStop runs the program until it says that it serves, and stops it in order.
func startAndStop(t *testing.T, command *exec.Cmd) {
	t.Helper()
	log, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(patience, func() { command.Process.Kill() })
	defer kill.Stop()
	served := false
	var said []string
	for lines := bufio.NewScanner(log); lines.Scan(); {
		said = append(said, lines.Text())
		if strings.Contains(lines.Text(), `"msg":"serving"`) {
			served = true
			command.Process.Signal(syscall.SIGTERM)
		}
	}
	if err := command.Wait(); err != nil || !served {
		t.Errorf("%v served: %t, error: %v\n%s", command.Args, served, err, strings.Join(said, "\n"))
	}
}

// TestTheJobFetchesAsTheManifestSays gives the real program the values of the
// job's container and an address where nothing listens: that it asks there is
// what an exit code of 1 tells; 2 would be a wrong flag or value.
func TestTheJobFetchesAsTheManifestSays(t *testing.T) {
	t.Parallel()
	program := compile(t)
	found := 0
	for _, container := range containersOf(t, render(t, "secret-refresh")) {
		if container.Name != "fetch" {
			continue
		}
		found++
		place := newPlace(t)
		command := exec.Command(program, container.Args...)
		for i, argument := range command.Args {
			command.Args[i] = place.moved(argument)
		}
		command.Args = append(command.Args, "--api-url=http://127.0.0.1:1", "--timeout=1s")
		said, err := command.CombinedOutput()
		if command.ProcessState.ExitCode() != 1 || !strings.Contains(string(said), "connection refused") {
			t.Errorf("%v: %v: %s", command.Args, err, said)
		}
	}
	if found != 1 {
		t.Errorf("%d containers fetch, want 1", found)
	}
}

// TestTheJobVerifiesAsTheManifestSays gives the real program the values of the job that verifies
// the audit volume: it succeeds over what a pod's sidecar wrote there, also when a whole pod's
// files are gone, and fails once a record is changed.
func TestTheJobVerifiesAsTheManifestSays(t *testing.T) {
	t.Parallel()
	program := compile(t)
	place, documents := newPlace(t), render(t, "audit-volume")
	for _, pod := range []string{"shop-1", "shop-2"} {
		sidecar := sidecarsOf(t, documents)[0]
		command := exec.Command(program)
		for _, argument := range sidecar.Args {
			command.Args = append(command.Args, place.moved(argument))
		}
		command.Env = []string{"CHATIDENTITY_LISTEN=127.0.0.1:0", "CHATIDENTITY_INSTANCE=" + pod}
		for _, variable := range sidecar.Env {
			if variable.ValueFrom == nil {
				command.Env = append(command.Env, variable.Name+"="+place.moved(variable.Value))
			}
		}
		startAndStop(t, command)
	}
	verify := func() (int, string) {
		for _, container := range containersOf(t, documents) {
			if container.Name == "verify" {
				command := exec.Command(program)
				for _, argument := range container.Args {
					command.Args = append(command.Args, place.moved(argument))
				}
				said, _ := command.CombinedOutput()
				return command.ProcessState.ExitCode(), string(said)
			}
		}
		t.Fatal("no container verifies")
		return 0, ""
	}
	one, other := place.moved("/var/log/chatidentity/shop-1.jsonl"), place.moved("/var/log/chatidentity/shop-2.jsonl")
	if code, said := verify(); code != 0 || !strings.Contains(said, "shop-1") || !strings.Contains(said, "shop-2") {
		t.Errorf("over two pods' files: code %d, %s", code, said)
	}
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	if code, said := verify(); code != 0 {
		t.Errorf("without the files of one: code %d, %s", code, said)
	}
	text, err := os.ReadFile(one)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(one, []byte(strings.Replace(string(text), "NEW_CHAIN", "NEW_CHAIM", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, said := verify(); code != 1 || !strings.Contains(said, "edited") {
		t.Errorf("over a changed record: code %d, %s", code, said)
	}
}
