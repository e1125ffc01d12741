package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

var manifestRows = []row{
	{"manifest", "`chatidentity manifest` over workload files of many shapes, without options and with all; applied twice", manyShapes},
}

// shapes are written after the kinds that public projects use.
const shapes = checkout + "/server/internal/manifest/testdata/workloads/*.yaml"

// foreign holds kinds that no server knows by itself.
const foreign = "other-kinds.yaml"

// allOptions are all that add something to a container.
var allOptions = []string{
	"--unix-socket", "--allow-uid=10001", "--audit-volume=chatidentity-audit", "--ready-gated",
	"--limit-redis=rediss://chatidentity@redis.example.com:6379/0",
}

func manyShapes(s *space) saw {
	files, err := filepath.Glob(shapes)
	files = slices.DeleteFunc(files, func(file string) bool { return filepath.Base(file) == foreign })
	if err != nil || len(files) < 30 {
		s.Fatalf("%d files, %v", len(files), err)
	}
	s.prepareShapes()
	generated := 0
	for _, file := range files {
		text := s.manifest(s.read(file))
		if again := s.manifest(text); again != text {
			s.Errorf("%s: a second run changes it", file)
		}
		verb := []string{"apply", "--server-side"}
		if strings.Contains(text, "generateName") {
			verb = []string{"create"}
			generated++
		}
		for _, some := range []string{text, s.manifest(s.read(file), allOptions...)} {
			output, said, err := s.try(some, append(verb, "--dry-run=server", "-f", "-")...)
			if err != nil || said != "" {
				s.Errorf("%s: %v: %s%s", filepath.Base(file), err, output, said)
			}
		}
		if verb[0] == "create" || s.Failed() {
			continue
		}
		path := filepath.Join(s.directory, filepath.Base(file))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			s.Fatal(err)
		}
		s.applyTwice("-f", path)
		s.kubectl("delete", "-f", path, "--wait=false")
	}
	return saw{nil, fmt.Sprintf("%d files pass the server's dry run; %d applied without a difference, the rest has names that the server makes",
		len(files), len(files)-generated)}
}

// prepareShapes lets the server take what is not restricted, and keeps the pods from running: there
// are no images.
func (s *space) prepareShapes() {
	s.Helper()
	s.kubectl("label", "namespace", s.name, "pod-security.kubernetes.io/enforce-", "pod-security.kubernetes.io/warn-")
	s.kubectl("create", "namespace", "shop")
	s.kubectl("cordon", "node-1")
	s.Cleanup(func() {
		s.kubectl("uncordon", "node-1")
		s.kubectl("delete", "namespace", "shop")
	})
}
