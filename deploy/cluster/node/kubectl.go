package node

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// Admin is the path of an administrator's kubeconfig.
func (n *Node) Admin() string { return n.path("admin.conf") }

// Kubectl runs kubectl and returns what it prints on standard output and on standard error.
func (n *Node) Kubectl(kubeconfig string, input io.Reader, arguments ...string) (string, string, error) {
	command := exec.Command(n.kube, append([]string{"kubectl"}, arguments...)...)
	command.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "KUBECACHEDIR="+n.path("cache"))
	command.Stdin = input
	var output, said bytes.Buffer
	command.Stdout, command.Stderr = &output, &said
	err := command.Run()
	return output.String(), said.String(), err
}

// Kubeconfig writes an administrator's kubeconfig whose commands are for one namespace.
func (n *Node) Kubeconfig(path, namespace string) error {
	return n.writeKubeconfig(path, "admin", namespace)
}

func (n *Node) writeKubeconfig(path, user, namespace string) error {
	pki := n.path("pki")
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: here
clusters: [{name: here, cluster: {server: "https://%s", certificate-authority: "%s/ca.crt"}}]
users: [{name: here, user: {client-certificate: "%s/%s.crt", client-key: "%s/%s.key"}}]
contexts: [{name: here, context: {cluster: here, user: here, namespace: "%s"}}]
`, Address, pki, pki, user, pki, user, namespace)
	return os.WriteFile(path, []byte(text), 0o600)
}
