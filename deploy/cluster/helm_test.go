package cluster

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

var helmRows = []row{
	{"Helm example", "`helm dependency build`, `lint`, `install`, `upgrade`, run, `uninstall`", helmExample},
}

func helmExample(s *space) saw {
	s.chatSecret()
	charts := filepath.Join(s.directory, "helm")
	if err := os.CopyFS(charts, os.DirFS(checkout+"/deploy/helm")); err != nil {
		s.Fatal(err)
	}
	helm := s.buildHelm()
	s.run(helm, "dependency", "build", charts+"/example")
	s.run(helm, "lint", charts+"/example")
	s.run(helm, "install", "shop", charts+"/example")
	pods := s.awaitPods("app=shop", 2)
	s.awaitTokens(pods, 200)
	const generation = "--output=jsonpath={.metadata.generation}"
	before := s.kubectl("get", "deployment", "shop", generation)
	s.run(helm, "upgrade", "shop", charts+"/example")
	if after := s.kubectl("get", "deployment", "shop", generation); after != before {
		s.Errorf("the upgrade to the same changed the Deployment: generation %s, then %s", before, after)
	}
	s.run(helm, "uninstall", "shop")
	seen := s.last(pods)
	s.noFailure(seen)
	return saw{seen, "0 warnings, 0 differences"}
}

func (s *space) buildHelm() string {
	s.Helper()
	helm := filepath.Join(s.directory, "helm-program")
	build := exec.Command("go", "-C", checkout, "build", "-modfile=tools/helm/go.mod", "-o", helm, "helm.sh/helm/v3/cmd/helm")
	if said, err := build.CombinedOutput(); err != nil {
		s.Fatalf("build helm: %v: %s", err, said)
	}
	return helm
}

// run runs helm, which must not warn.
func (s *space) run(helm string, arguments ...string) {
	s.Helper()
	command := exec.Command(helm, arguments...)
	command.Env = append(os.Environ(), "KUBECONFIG="+s.kubeconfig,
		"HELM_CACHE_HOME="+s.directory, "HELM_CONFIG_HOME="+s.directory, "HELM_DATA_HOME="+s.directory)
	var said bytes.Buffer
	command.Stderr = &said
	output, err := command.Output()
	if err != nil || strings.Contains(said.String(), "arning") {
		s.Fatalf("helm %v: %v: %s%s", arguments, err, output, said.String())
	}
}
