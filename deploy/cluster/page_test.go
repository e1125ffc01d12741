package cluster

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

var pageRows = []row{
	{"the page, manifest", "the commands of docs/kubernetes.md, on an app with an init container and volumes of its own", pageManifest},
	{"the page, kustomize", "its kustomization.yaml, on the same app", pageKustomize},
}

const page = checkout + "/docs/kubernetes.md"

// ownApp has under each key that the sidecar needs something of its own.
const ownApp = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: shop
spec:
  selector:
    matchLabels: {app: shop}
  template:
    metadata:
      labels: {app: shop}
    spec:
      automountServiceAccountToken: false
      securityContext: {runAsNonRoot: true, runAsUser: 10001, seccompProfile: {type: RuntimeDefault}}
      initContainers:
        - name: migrate # asks for a token too
          image: registry.example.com/shop:1.0.0
          args: [-calls=1, -report=]
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
      containers:
        - name: app
          image: registry.example.com/shop:1.0.0
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
          volumeMounts: [{name: data, mountPath: /data}]
      volumes:
        - name: data
          emptyDir: {}
`

func pageManifest(s *space) saw {
	s.write("deployment.yaml", ownApp)
	s.write("PATH", chatSecret)
	s.shell(s.command("kubectl create secret generic kustomer-chat"))
	s.shell(s.command("chatidentity manifest"))
	return s.nothingLost()
}

func pageKustomize(s *space) saw {
	s.chatSecret()
	s.ownKustomization(s.block("yaml", "kind: Kustomization"))
	return s.nothingLost()
}

// ownKustomization applies the app by a kustomization beside a copy of deploy/kubernetes.
func (s *space) ownKustomization(text string) {
	s.Helper()
	if err := os.CopyFS(filepath.Join(s.directory, "kubernetes"), os.DirFS(checkout+"/deploy/kubernetes")); err != nil {
		s.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(s.directory, "own"), 0o700); err != nil {
		s.Fatal(err)
	}
	s.write("own/app.yaml", ownApp)
	s.write("own/kustomization.yaml", text)
	s.kubectl("apply", "--server-side", "-k", filepath.Join(s.directory, "own"))
}

// nothingLost wants a pod with all that the app has of its own, and the sidecar.
func (s *space) nothingLost() saw {
	s.Helper()
	p := s.awaitPods("app=shop", 1)[0]
	const fields = `{.spec.initContainers[*].name} {.spec.containers[*].name} {.spec.volumes[*].name}`
	got := s.kubectl("get", "pod", p.Metadata.Name, "--output=jsonpath="+fields)
	if want := "chatidentity migrate app kustomer-secret chatidentity-audit data"; strings.TrimSpace(got) != want {
		s.Errorf("the pod has %s, want %s", got, want)
	}
	s.awaitTokens([]pod{p}, 200)
	s.kubectl("delete", "deployment", "shop")
	seen := s.last([]pod{p})
	s.noFailure(seen)
	return saw{seen, "the pod has the sidecar, the app's init container and its volume"}
}

func (s *space) write(name, content string) {
	s.Helper()
	if err := os.WriteFile(filepath.Join(s.directory, name), []byte(content), 0o600); err != nil {
		s.Fatal(err)
	}
}

var blocks = regexp.MustCompile("(?s)```(\\w+)\n(.*?)```")

// block is a block of the page that holds some words.
func (s *space) block(language, words string) string {
	s.Helper()
	for _, block := range blocks.FindAllStringSubmatch(s.read(page), -1) {
		if block[1] == language && strings.Contains(block[2], words) {
			return block[2]
		}
	}
	s.Fatalf("the page has no block of %s with %q", language, words)
	return ""
}

func (s *space) command(words string) string { s.Helper(); return s.block("sh", words) }

// shell runs commands as somebody would who has the programs of the page.
func (s *space) shell(commands string) string {
	s.Helper()
	programs := filepath.Join(s.directory, "programs")
	if err := os.MkdirAll(programs, 0o700); err != nil {
		s.Fatal(err)
	}
	s.write("programs/kubectl", "#!/bin/sh\nexec \"$CLUSTER_KUBE\" kubectl \"$@\"\n")
	if err := os.Chmod(filepath.Join(programs, "kubectl"), 0o700); err != nil {
		s.Fatal(err)
	}
	os.Symlink(program, filepath.Join(programs, "chatidentity"))
	shell := exec.Command("bash", "-euo", "pipefail", "-c", commands)
	shell.Dir = s.directory
	shell.Env = append(os.Environ(), "PATH="+programs+":"+os.Getenv("PATH"), "KUBECONFIG="+s.kubeconfig)
	said, err := shell.CombinedOutput()
	if err != nil || strings.Contains(string(said), "Warning") {
		s.Fatalf("%s: %v: %s", commands, err, said)
	}
	return string(said)
}
