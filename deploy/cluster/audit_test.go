package cluster

import (
	"bufio"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/chatidentity/chatidentity/deploy/cluster/node"
	"github.com/chatidentity/chatidentity/deploy/cluster/report"
)

var auditRows = []row{
	{"audit-volume", "two pods on one volume; one deleted, then one forced away (counted until then)", auditVolume},
	{"audit-volume, StatefulSet", "the pod forced away: the next one has its name and its file", forcedAway},
	{"log reader stopped", "containerd stopped for 20 s, as an upgrade of a node does", readerStopped},
}

func auditVolume(s *space) saw {
	s.chatSecret()
	s.auditKey()
	folder := s.volume("chatidentity-audit")
	s.kubectl("apply", "--server-side", "-f", checkout+"/deploy/kubernetes/components/audit-volume/claim.yaml")
	s.deploy(app{replicas: "2", args: "-ids", options: []string{"--audit-volume=chatidentity-audit"}})
	pods := s.awaitPods("app=shop", 2)
	s.awaitTokens(pods, 500)
	s.kubectl("delete", "pod", pods[0].Metadata.Name)
	after := s.awaitPods("app=shop", 2)
	s.awaitTokens(after, 300)
	forced := s.ask(pods[1])                                                         // its end may be too sudden for a last report
	s.try("", "delete", "pod", pods[1].Metadata.Name, "--force", "--grace-period=0") // it warns
	left := s.awaitPods("app=shop", 2)
	s.awaitTokens(left, 300)

	seen := append(s.last(pods[:1]), forced)
	verified := s.verify(left[0])
	s.findFrom(left[0], pods[0])
	s.kubectl("delete", "deployment", "shop")
	seen = append(seen, s.last(left)...)
	s.noFailure(seen)
	s.onRecord(folder, seen)
	return saw{seen, fmt.Sprintf("%s tokens, each on record; %d logs of living and dead pods verified from inside a pod",
		thousands(sum(seen).Tokens), verified)}
}

func forcedAway(s *space) saw {
	s.chatSecret()
	s.auditKey()
	s.volume("chatidentity-audit")
	s.kubectl("apply", "--server-side", "-f", checkout+"/deploy/kubernetes/components/audit-volume/claim.yaml")
	s.deploy(app{options: []string{"--audit-volume=chatidentity-audit"}, change: func(yaml string) string {
		return s.replaced(yaml, "kind: Deployment", "kind: StatefulSet")
	}})
	old := s.awaitPods("app=shop", 1)[0]
	s.awaitTokens([]pod{old}, 300)
	s.try("", "delete", "pod", old.Metadata.Name, "--force", "--grace-period=0") // it warns
	var next pod
	err := node.Await("the next pod", patience, func() error {
		for _, next = range s.pods("app=shop") {
			if next.Metadata.UID != old.Metadata.UID {
				return next.ready()
			}
		}
		return errors.New("not there")
	})
	if err != nil {
		s.Fatal(err)
	}
	s.awaitTokens([]pod{next}, 300)
	s.restarts(next, 0)
	seen := s.ask(next)
	if seen.LongestGap > 15*time.Second {
		s.Errorf("no token for %v", seen.LongestGap)
	}
	s.kubectl("delete", "statefulset", "shop")
	return saw{[]report.Report{seen}, "no restart; calls, failures and gap are the next pod's"}
}

func (s *space) auditKey() {
	s.Helper()
	key := make([]byte, 32)
	rand.Read(key)
	s.secret("chatidentity-audit", "key", base64.StdEncoding.EncodeToString(key))
}

// verify verifies all logs of the volume inside a pod and returns how many there are.
func (s *space) verify(in pod) int {
	s.Helper()
	output, said, err := s.try("", "exec", in.Metadata.Name, "--container=chatidentity", "--",
		"chatidentity", "audit", "verify", "--output=json", "/var/log/chatidentity")
	if err != nil {
		s.Fatalf("audit verify: %v: %s%s", err, output, said)
	}
	return strings.Count(output, `"ok"`)
}

// findFrom searches, in one pod, for a customer of another that is gone.
func (s *space) findFrom(in, gone pod) {
	s.Helper()
	customer := gone.Metadata.Name + "_7"
	output, said, err := s.try("", "exec", in.Metadata.Name, "--container=chatidentity", "--",
		"chatidentity", "audit", "find", "--output=json", "--external-id="+customer, "/var/log/chatidentity")
	if err != nil || strings.Count(output, `"audit_id"`) != 1 {
		s.Errorf("audit find of %s: %v: %s%s", customer, err, output, said)
	}
}

// onRecord wants a record of each token that the apps got.
func (s *space) onRecord(folder string, seen []report.Report) {
	s.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.jsonl*"))
	if err != nil || len(files) < len(seen) {
		s.Errorf("%d files, %v", len(files), err)
	}
	recorded := map[string]bool{}
	for _, path := range files {
		file, err := os.Open(path)
		if err != nil {
			s.Fatal(err)
		}
		for lines := bufio.NewScanner(file); lines.Scan(); {
			var record struct {
				AuditID string `json:"audit_id"`
				Event   string `json:"event"`
				Outcome string `json:"outcome"`
			}
			if json.Unmarshal(lines.Bytes(), &record) == nil && record.Event == "token.issue" && record.Outcome == "OK" {
				recorded[record.AuditID] = true
			}
		}
		file.Close()
	}
	for _, app := range seen {
		if len(app.AuditIDs) != app.Tokens {
			s.Errorf("%s: %d audit IDs of %d tokens", app.Pod, len(app.AuditIDs), app.Tokens)
		}
		for _, id := range app.AuditIDs {
			if !recorded[id] {
				s.Fatalf("%s: no record of %s", app.Pod, id)
			}
		}
	}
}

// readerStopped stops what reads the sidecar's standard output.
func readerStopped(s *space) saw {
	s.chatSecret()
	s.deploy(app{})
	p := s.awaitPods("app=shop", 1)[0]
	s.awaitTokens([]pod{p}, 300)
	if err := cluster.StopContainerd(); err != nil {
		s.Fatal(err)
	}
	stopped := time.Now()
	s.awaitReport(p, "20 s", patience, func(report.Report) bool { return time.Since(stopped) > 20*time.Second })
	if err := cluster.StartContainerd(); err != nil {
		s.Fatal(err)
	}
	s.awaitTokens([]pod{p}, 300)
	s.restarts(p, 0)
	s.kubectl("delete", "deployment", "shop")
	seen := s.last([]pod{p})
	return saw{seen, "no restart"}
}
