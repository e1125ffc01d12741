package cluster

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/chatidentity/chatidentity/deploy/cluster/node"
)

var (
	keep   = flag.Bool("keep", false, "leave the cluster running")
	update = flag.Bool("update", false, "write the rows that passed into README.md")
)

const checkout = "../.."

// What all rows use.
var (
	cluster *node.Node
	program string // chatidentity
	apps    *collector
)

func TestMain(m *testing.M) {
	flag.Parse()
	// Results do not depend on this module alone: nothing may be kept of them.
	if err := flag.Set("test.testlogfile", ""); err != nil {
		panic(err)
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	directory, kube := os.Getenv("CLUSTER_DIRECTORY"), os.Getenv("CLUSTER_KUBE")
	if kube == "" {
		fmt.Println("no cluster: run deploy/cluster/run.sh")
		return 0
	}
	scratch, err := os.MkdirTemp("", "cluster-*")
	if err != nil {
		return failed(err)
	}
	defer os.RemoveAll(scratch)
	endOnSignal(directory)
	if err := start(scratch, directory, kube); err != nil {
		return failed(err)
	}
	code := m.Run()
	if err := writeTable(); err != nil {
		code = failed(err)
	}
	if *keep {
		fmt.Printf("KUBECONFIG=%s %s kubectl ...\n", cluster.Admin(), kube)
		return code
	}
	if err := node.End(directory); err != nil {
		return failed(err)
	}
	return code
}

func failed(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// endOnSignal ends the cluster when the suite is interrupted.
func endOnSignal(directory string) {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-told
		failed(node.End(directory))
		os.Exit(1)
	}()
}

// start builds the programs, starts the cluster and gives it the images.
func start(scratch, directory, kube string) error {
	program = filepath.Join(scratch, "chatidentity")
	app, pause := filepath.Join(scratch, "app"), filepath.Join(scratch, "pause")
	for to, arguments := range map[string][]string{
		program: {"-C", checkout, "build", "-tags=grpcnotrace", "-trimpath", "-ldflags=-s -w", "-o", program, "./server"},
		app:     {"build", "-o", app, "./app"},
		pause:   {"build", "-o", pause, "./pause"},
	} {
		build := exec.Command("go", arguments...)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if said, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w: %s", to, err, said)
		}
	}
	var err error
	if cluster, err = node.Start(directory, os.Getenv("CLUSTER_LOGS"), kube, pause); err != nil {
		return err
	}
	if apps, err = newCollector(); err != nil {
		return err
	}
	for _, image := range images(app, kube) {
		if err := cluster.Import(image); err != nil {
			return err
		}
	}
	return nil
}

// images are what the manifests name. The sidecar's is made as the Dockerfile says, of a program
// that this machine built.
func images(app, kube string) []node.Image {
	backend := func(name string, arguments ...string) node.Image {
		return node.Image{
			Name: "registry.example.com/" + name + ":1.0.0", Files: map[string]string{"/app": app},
			Entrypoint: []string{"/app", "-report", apps.address}, Command: arguments,
		}
	}
	return []node.Image{
		{
			Name:  sidecarImage,
			Files: map[string]string{"/usr/local/bin/chatidentity": program, "/etc/ssl/certs/ca-certificates.crt": "/etc/ssl/certs/ca-certificates.crt"},
			User:  "65532:65532", Env: []string{"PATH=/usr/local/bin"},
			Entrypoint: []string{"/usr/local/bin/chatidentity"}, Command: []string{"serve"},
		},
		backend("shop"), backend("shop-import", "-calls=100"), backend("shop-report", "-calls=100"),
		{Name: "registry.k8s.io/kubectl:v1.34.1", Files: map[string]string{"/kube": kube}, Entrypoint: []string{"/kube", "kubectl"}},
	}
}
