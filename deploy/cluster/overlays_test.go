package cluster

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/chatidentity/chatidentity/deploy/cluster/node"
)

const overlays = checkout + "/deploy/kubernetes/overlays"

// overlayRows apply every overlay, in a namespace that enforces the restricted standard, and run it.
func overlayRows() []row {
	entries, err := os.ReadDir(overlays)
	if err != nil {
		panic(err)
	}
	var all []row
	for _, entry := range entries {
		all = append(all, row{
			"overlay " + entry.Name(), "applied twice, run, and deleted",
			func(s *space) saw { return applyOverlay(s, entry.Name()) },
		})
	}
	return all
}

func applyOverlay(s *space, overlay string) saw {
	s.chatSecret()
	s.secret("chatidentity-audit", "key", base64.StdEncoding.EncodeToString(make([]byte, 32)))
	s.secret("chatidentity-redis", "password", "no Redis answers there")
	s.secret("kustomer-api", "key", "nobody asks with it")
	if overlay == "audit-volume" {
		s.volume("chatidentity-audit")
	}
	place := filepath.Join(overlays, overlay)
	applied := s.applyTwice("-k", place)
	pods := s.awaitPods("app=shop", 2)
	s.awaitTokens(pods, 200)
	s.kubectl("wait", "--for=condition=Complete", "job/shop-import", "--timeout=2m")
	jobs := s.pods("batch.kubernetes.io/job-name=shop-import")
	s.kubectl("delete", "-k", place)
	seen := append(s.last(pods), s.last(jobs)...)
	s.noFailure(seen)
	return saw{seen, fmt.Sprintf("%d objects, 0 warnings, 0 differences", applied)}
}

// applyTwice applies objects twice: without a warning, and then without a difference. It returns
// how many there are.
func (s *space) applyTwice(arguments ...string) int {
	s.Helper()
	apply := append([]string{"apply", "--server-side"}, arguments...)
	applied := s.kubectl(apply...)
	s.kubectl(append([]string{"diff", "--server-side"}, arguments...)...)
	if again := s.kubectl(apply...); again != applied {
		s.Errorf("applied at first\n%s\nand then\n%s", applied, again)
	}
	return strings.Count(applied, "\n")
}

// volume makes a volume for a claim: a folder of this machine, with the kubelet's own fsGroup.
func (s *space) volume(claim string) string {
	s.Helper()
	folder := filepath.Join(s.directory, claim)
	if err := os.Mkdir(folder, 0o755); err != nil {
		s.Fatal(err)
	}
	s.kubectlInput(fmt.Sprintf(`apiVersion: v1
kind: PersistentVolume
metadata: {name: %[1]s}
spec:
  capacity: {storage: 10Gi}
  accessModes: [ReadWriteMany]
  claimRef: {namespace: %[1]s, name: %[2]s}
  local: {path: %[3]s}
  nodeAffinity:
    required:
      nodeSelectorTerms:
        - matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [%[4]s]}]
`, s.name, claim, folder, node.Name), "apply", "--server-side", "-f", "-")
	s.Cleanup(func() { s.kubectl("delete", "persistentvolume", s.name, "--wait=false") })
	return folder
}
