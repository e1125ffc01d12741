// Package test runs one pod's worth of containers, as Kubernetes would run
// those of the manifests: deploy/pod-test.sh.
package test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

const (
	appUID     = "10001"
	sidecarGID = "65532"
	socketPath = "/run/chatidentity/chatidentity.sock"
	patience   = time.Minute
)

// engine is podman with its global flags, and confined are the flags of every
// container: deploy/engine.sh.
var (
	engine   = strings.Fields(os.Getenv("POD_TEST_ENGINE"))
	confined = strings.Fields(os.Getenv("POD_TEST_CONFINED"))
	image    = os.Getenv("POD_TEST_IMAGE")
)

// TestMain keeps results out of go's test cache, which would call them good for a changed product:
// it looks at no file outside this module, and at none that a child reads. Without the log of what the
// test binary opened, cmd/go keeps nothing.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.testlogfile", ""); err != nil {
		panic(err)
	}
	m.Run()
}

// pod is a sidecar, the network and the volumes that it shares with apps, and those apps.
type pod struct {
	t       *testing.T
	name    string
	program string // the app's, on this machine
	socket  string // the directory with the socket, on this machine
	apps    int
}

// newPod starts a pod's sidecar with the arguments of the manifests and more.
// The network has a loopback and no other interface: what is reached there is
// in the pod.
func newPod(t *testing.T, more ...string) *pod {
	t.Helper()
	if image == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("no image: run deploy/pod-test.sh")
		}
		t.Skip("no image: run deploy/pod-test.sh")
	}
	p := &pod{t: t, name: "pod-" + strings.ToLower(t.Name()), program: buildApp(t), socket: emptyDir(t, "socket")}
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("a-pod-test-secret-of-32-bytes-or-more"), 0o444); err != nil {
		t.Fatal(err)
	}
	arguments, environment := manifestSidecar(t)
	flags := []string{
		"--network", "none", "--group-add", sidecarGID,
		"--volume", filepath.Dir(secret) + ":/etc/kustomer:ro", "--volume", p.socket + ":" + filepath.Dir(socketPath),
		"--volume", emptyDir(t, "audit") + ":/var/log/chatidentity",
	}
	for _, variable := range environment {
		flags = append(flags, "--env", variable)
	}
	p.run(p.name, append(flags, image), append(arguments, more...))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the sidecar: %s", podman(t, "logs", p.name))
		}
	})
	p.awaitLive()
	return p
}

// manifestSidecar returns the arguments and the variables of the sidecar in
// deploy/kubernetes/sidecar.yaml.
func manifestSidecar(t *testing.T) (arguments, environment []string) {
	t.Helper()
	text, err := os.ReadFile("../kubernetes/sidecar.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var snippet struct {
		InitContainers []struct {
			Args []string
			Env  []struct{ Name, Value string }
		}
	}
	if err := yaml.Unmarshal(text, &snippet); err != nil || len(snippet.InitContainers) != 1 || len(snippet.InitContainers[0].Args) < 3 {
		t.Fatalf("read arguments from %+v: %v", snippet, err)
	}
	for _, variable := range snippet.InitContainers[0].Env {
		if variable.Value != "" {
			environment = append(environment, variable.Name+"="+variable.Value)
		}
	}
	return snippet.InitContainers[0].Args, environment
}

func buildApp(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "app")
	command := exec.Command("go", "build", "-o", program, "./app")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := command.CombinedOutput(); err != nil {
		t.Fatalf("build app: %v: %s", err, said)
	}
	return program
}

// emptyDir is one as the kubelet makes it for an fsGroup.
func emptyDir(t *testing.T, name string) string {
	t.Helper()
	directory := filepath.Join(t.TempDir(), name)
	if err := os.Mkdir(directory, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(directory, 0, 65532); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(directory, 0o777|os.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	return directory
}

// startApp starts the app's container and returns its name.
func (p *pod) startApp(user string, groups []string, arguments ...string) string {
	p.t.Helper()
	p.apps++
	name := fmt.Sprintf("%s-app-%d", p.name, p.apps)
	flags := []string{
		"--network", "container:" + p.name, "--user", user,
		"--volume", p.socket + ":" + filepath.Dir(socketPath) + ":ro", "--volume", p.program + ":/app:ro",
		"--entrypoint", "/app",
	}
	for _, group := range groups {
		flags = append(flags, "--group-add", group)
	}
	p.run(name, append(flags, image), arguments)
	return name
}

func (p *pod) run(name string, flags, arguments []string) {
	p.t.Helper()
	all := append([]string{"run", "--detach", "--name", name}, confined...)
	podman(p.t, append(append(all, flags...), arguments...)...)
	p.t.Cleanup(func() { podman(p.t, "rm", "--force", "--time", "2", name) })
}

// awaitLive does what the startup probe does.
func (p *pod) awaitLive() {
	p.t.Helper()
	pid := strings.TrimSpace(podman(p.t, "inspect", "--format", "{{.State.Pid}}", p.name))
	for deadline := time.Now().Add(patience); ; {
		probe := exec.Command("nsenter", "--target", pid, "--net", "curl", "--silent", "--fail", "http://127.0.0.1:9452/livez")
		said, err := probe.CombinedOutput()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("not live: %v: %s %s", err, said, podman(p.t, "logs", p.name))
		}
	}
}

// signal sends SIGTERM to containers, in the order given.
func (p *pod) terminate(names ...string) {
	p.t.Helper()
	podman(p.t, append([]string{"kill", "--signal", "TERM"}, names...)...)
}

// awaitExit waits for a container's end and wants the exit code 0.
func (p *pod) awaitExit(name string) {
	p.t.Helper()
	if code := strings.TrimSpace(podman(p.t, "wait", name)); code != "0" {
		p.t.Fatalf("%s exited with %s: %s", name, code, podman(p.t, "logs", name))
	}
}

// report is what an app told at its end.
type report struct {
	AuditIDs []string `json:"audit_ids"`
	Failures []string `json:"failures"`
}

func (p *pod) reportOf(name string) report {
	p.t.Helper()
	p.awaitExit(name)
	var told report
	if text := podman(p.t, "logs", name); json.Unmarshal([]byte(text), &told) != nil {
		p.t.Fatalf("%s told %q", name, text)
	}
	return told
}

// record is a line of the audit trail.
type record struct {
	AuditID string `json:"audit_id"`
	Event   string `json:"event"`
	Outcome string `json:"outcome"`
	Reason  string `json:"reason"`
	Caller  string `json:"caller"`
}

// records reads the copy of the audit trail on the sidecar's standard output.
func (p *pod) records() []record {
	p.t.Helper()
	command := podmanCommand("logs", p.name)
	output, err := command.Output() // without standard error, where the program's log is
	if err != nil {
		p.t.Fatal(err)
	}
	output = output[:bytes.LastIndexByte(output, '\n')+1] // a record that is being written is none yet
	var records []record
	for lines := bufio.NewScanner(bytes.NewReader(output)); lines.Scan(); {
		var one record
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			p.t.Fatalf("record %q: %v", lines.Text(), err)
		}
		records = append(records, one)
	}
	return records
}

func podmanCommand(arguments ...string) *exec.Cmd {
	return exec.Command(engine[0], append(engine[1:len(engine):len(engine)], arguments...)...)
}

func podman(t *testing.T, arguments ...string) string {
	t.Helper()
	command := podmanCommand(arguments...)
	said, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("podman %v: %v: %s", arguments, err, said)
	}
	return string(said)
}
