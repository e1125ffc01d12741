package cluster

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

const (
	sidecarImage = "registry.example.com/chatidentity:0.1.0"
	patience     = 2 * time.Minute
)

// space is a namespace that enforces the restricted Pod Security Standard and warns of it.
type space struct {
	*testing.T
	name       string
	directory  string
	kubeconfig string
}

var notInNames = regexp.MustCompile(`[^a-z0-9]+`)

func newSpace(t *testing.T) *space {
	t.Helper()
	_, short, _ := strings.Cut(strings.ToLower(t.Name()), "/")
	s := &space{T: t, name: strings.Trim(notInNames.ReplaceAllString(short, "-"), "-")}
	var err error
	if s.directory, err = os.MkdirTemp("", "row-"); err != nil { // kubectl takes the comma of a row's name for its own
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(s.directory) })
	s.kubeconfig = filepath.Join(s.directory, "kubeconfig")
	if err := cluster.Kubeconfig(s.kubeconfig, s.name); err != nil {
		t.Fatal(err)
	}
	s.kubectl("create", "namespace", s.name)
	const standard = "pod-security.kubernetes.io/"
	s.kubectl("label", "namespace", s.name, standard+"enforce=restricted", standard+"warn=restricted")
	t.Cleanup(s.end)
	return s
}

// end removes the namespace, so that the next row has the whole node.
func (s *space) end() {
	if s.Failed() {
		for _, command := range []string{
			"get pods --output wide", "get events --sort-by .lastTimestamp",
			"logs --selector chatidentity=sidecar --container chatidentity --tail 30 --prefix",
		} {
			output, said, _ := s.try("", strings.Fields(command)...)
			s.Logf("kubectl %s\n%s%s", command, output, said)
		}
	}
	s.kubectl("delete", "namespace", s.name, "--timeout=2m")
}

// try runs kubectl in the namespace and returns what it prints on standard output and error.
func (s *space) try(input string, arguments ...string) (string, string, error) {
	return cluster.Kubectl(s.kubeconfig, strings.NewReader(input), arguments...)
}

// kubectl runs kubectl and returns its output. It must succeed without a warning.
func (s *space) kubectl(arguments ...string) string {
	s.Helper()
	return s.kubectlInput("", arguments...)
}

func (s *space) kubectlInput(input string, arguments ...string) string {
	s.Helper()
	output, said, err := s.try(input, arguments...)
	if err != nil || said != "" {
		s.Fatalf("kubectl %s: %v: %s%s", strings.Join(arguments, " "), err, output, said)
	}
	return output
}

// apply applies objects as the pages do.
func (s *space) apply(yaml string) {
	s.Helper()
	s.kubectlInput(yaml, "apply", "--server-side", "-f", "-")
}

// secret makes a Secret as docs/kubernetes.md does, or changes it.
func (s *space) secret(name, key, value string) {
	s.Helper()
	path := filepath.Join(s.directory, "value")
	if err := os.WriteFile(path, []byte(value), 0o600); err != nil {
		s.Fatal(err)
	}
	s.apply(s.kubectl("create", "secret", "generic", name, "--from-file="+key+"="+path, "--dry-run=client", "--output=yaml"))
}

const chatSecret = "a-signing-secret-of-the-suite-of-32-bytes"

func (s *space) chatSecret() { s.Helper(); s.secret("kustomer-chat", "secret", chatSecret) }

func (s *space) read(path string) string {
	s.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		s.Fatal(err)
	}
	return string(text)
}
