package cluster

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// deployment is an app as anybody might write it, with what else its pod has.
const deployment = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: shop
spec:
  replicas: $replicas
  selector:
    matchLabels:
      app: shop
  template:
    metadata:
      labels:
        app: shop
    spec:
      securityContext:
        runAsNonRoot: true
        runAsUser: 10001
        seccompProfile:
          type: RuntimeDefault
      containers:
        - name: app
          image: registry.example.com/shop:1.0.0
          args: [$args]
          readinessProbe:
            httpGet:
              path: /ready
              port: 8080
            periodSeconds: 1
          securityContext:
            allowPrivilegeEscalation: false
            capabilities:
              drop: [ALL]
`

// neighbour is another container of the pod, which floods the sidecar.
const neighbour = `        - name: neighbour
          image: registry.example.com/shop:1.0.0
          args: [$flood]
          securityContext:
            runAsUser: 10002
            allowPrivilegeEscalation: false
            capabilities:
              drop: [ALL]
`

// app is a Deployment to be run.
type app struct {
	replicas string   // 1 if empty
	args     string   // of the app
	flood    string   // arguments of a neighbour; none if empty
	options  []string // of `chatidentity manifest`
	change   func(yaml string) string
}

// deploy adds the sidecar by `chatidentity manifest` and applies the result.
func (s *space) deploy(a app) {
	s.Helper()
	text := deployment
	if a.flood != "" {
		text += neighbour
	}
	replicas := a.replicas
	if replicas == "" {
		replicas = "1"
	}
	text = strings.NewReplacer("$replicas", replicas, "$args", a.args, "$flood", a.flood).Replace(text)
	text = s.manifest(text, a.options...)
	if a.change != nil {
		text = a.change(text)
	}
	s.apply(text)
}

// manifest is `chatidentity manifest`.
func (s *space) manifest(yaml string, options ...string) string {
	s.Helper()
	path := filepath.Join(s.directory, "workload.yaml")
	if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
		s.Fatal(err)
	}
	command := exec.Command(program, append([]string{"manifest", "--image=" + sidecarImage, path}, options...)...)
	var output, said bytes.Buffer
	command.Stdout, command.Stderr = &output, &said
	if err := command.Run(); err != nil {
		s.Fatalf("chatidentity manifest %v: %v: %s", options, err, said.String())
	}
	return output.String()
}

// replaced changes one place of a text, which must be there.
func (s *space) replaced(text, old, with string) string {
	s.Helper()
	if !strings.Contains(text, old) {
		s.Fatalf("%q is not in\n%s", old, text)
	}
	return strings.ReplaceAll(text, old, with)
}
