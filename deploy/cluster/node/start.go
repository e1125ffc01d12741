package node

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// start starts a program whose output goes to a log of its own.
func (n *Node) start(program string, arguments ...string) error {
	title := filepath.Base(program)
	if program == n.kube {
		title = arguments[0]
	}
	log, err := os.OpenFile(filepath.Join(n.logs, title+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() //nolint:errcheck // the process has its own
	command := exec.Command(program, arguments...)
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for the tests, which end the rest in order
	if err := command.Start(); err != nil {
		return err
	}
	go command.Wait() //nolint:errcheck // how it ended is in its log
	return nil
}

func (n *Node) startServers() error {
	const etcd = "http://" + local + ":2379"
	err := n.start(n.kube, "etcd", "--data-dir="+n.path("etcd"), "--client-url="+etcd, "--peer-url=http://"+local+":2380")
	if err != nil {
		return err
	}
	pki := func(file string) string { return n.path("pki", file) }
	err = n.start(n.kube, "kube-apiserver",
		"--etcd-servers="+etcd, "--bind-address="+Address, "--secure-port=443", "--advertise-address="+Address,
		"--service-cluster-ip-range="+services, "--endpoint-reconciler-type=none",
		"--tls-cert-file="+pki("api.crt"), "--tls-private-key-file="+pki("api.key"), "--client-ca-file="+pki("ca.crt"),
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+pki("accounts.key"), "--service-account-signing-key-file="+pki("accounts.key"),
		"--kubelet-client-certificate="+pki("to-kubelet.crt"), "--kubelet-client-key="+pki("to-kubelet.key"),
		"--kubelet-certificate-authority="+pki("ca.crt"), "--kubelet-preferred-address-types=InternalIP")
	if err != nil {
		return err
	}
	return n.awaitKubectl("the API server", "get", "--raw", "/readyz")
}

func (n *Node) startControllers() error {
	err := n.start(n.kube, "kube-controller-manager",
		"--kubeconfig="+n.path("controllers.conf"), "--bind-address="+local, "--leader-elect=false",
		"--use-service-account-credentials", "--service-account-private-key-file="+n.path("pki", "accounts.key"),
		"--root-ca-file="+n.path("pki", "ca.crt"))
	if err != nil {
		return err
	}
	err = n.start(n.kube, "kube-scheduler",
		"--kubeconfig="+n.path("scheduler.conf"), "--bind-address="+local, "--leader-elect=false")
	if err != nil {
		return err
	}
	return n.awaitKubectl("the controllers", "get", "serviceaccount", "default")
}

func (n *Node) startKubelet() error {
	configured := n.path("kubelet.yaml")
	if err := n.configure("kubelet.yaml", configured); err != nil {
		return err
	}
	err := n.start(n.kube, "kubelet", "--config="+configured, "--kubeconfig="+n.path("kubelet.conf"),
		"--root-dir="+n.path("kubelet"), "--cert-dir="+n.path("pki"), "--hostname-override="+Name, "--node-ip="+Address)
	if err != nil {
		return err
	}
	return n.awaitKubectl("the node", "wait", "--for=condition=Ready", "node/"+Name, "--timeout=2s")
}

func (n *Node) awaitKubectl(what string, arguments ...string) error {
	return Await(what, patience, func() error {
		_, said, err := n.Kubectl(n.Admin(), nil, arguments...)
		if err != nil {
			return fmt.Errorf("%w: %s", err, said)
		}
		return nil
	})
}
