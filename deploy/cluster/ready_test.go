package cluster

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/chatidentity/chatidentity/deploy/cluster/node"
	"github.com/chatidentity/chatidentity/deploy/cluster/report"
)

var readyRows = []row{
	{"ready-gated", "the Secret made once the event says why the pod is not ready; then a minute of probes under load", readyGated},
}

func readyGated(s *space) saw {
	s.deploy(app{options: []string{"--ready-gated"}})
	var why string
	err := node.Await("the event", patience, func() error {
		why = s.kubectl("get", "events", "--field-selector=reason=Unhealthy", "--output=jsonpath={.items[*].message}")
		if !strings.Contains(why, "Readiness probe failed") || !strings.Contains(why, "secret") {
			return fmt.Errorf("events: %s", why)
		}
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
	p := s.pods("app=shop")[0]
	if p.ready() == nil {
		s.Error("the pod is ready without a Secret")
	}
	s.chatSecret()
	s.shell(s.command("kubectl annotate pods"))
	p = s.awaitPods("app=shop", 1)[0]
	pid, err := cluster.PID(p.container("chatidentity").ContainerID)
	if err != nil {
		s.Fatal(err)
	}
	ready := time.Now()
	s.awaitReport(p, "a minute", patience, func(report.Report) bool { return time.Since(ready) > time.Minute })
	peak, err := node.PeakMemory(pid)
	if err = errors.Join(err, s.pods("app=shop")[0].ready()); err != nil {
		s.Fatal(err)
	}
	s.restarts(p, 0)
	s.kubectl("delete", "deployment", "shop")
	return saw{s.last([]pod{p}), fmt.Sprintf("the event: “%s”; with the probes %d MiB of 128 at most", firstLine(why), peak>>20)}
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return strings.TrimSpace(line)
}
