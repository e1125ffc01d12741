package cluster

import (
	"fmt"
	"time"

	"github.com/chatidentity/chatidentity/deploy/cluster/node"
	"github.com/chatidentity/chatidentity/deploy/cluster/report"
)

// limitRows have another container of the pod flood the sidecar, inside the limits of the pod.
var limitRows = []row{
	{"CPU limit", "100m of CPU, no rate limits, and a neighbour that calls over 16 connections, 128 calls at a time, for 2 min", cpuLimit},
	{"memory limit", "128Mi as in the manifest, a neighbour with 500 connections, 4,000 calls at a time, for 1 min", memoryLimit},
	{"unix-socket, flood", "the same neighbour, whose user ID may not call", socketFlood},
}

const unlimited = "            - --limit-caller=off\n"

func cpuLimit(s *space) saw {
	return s.flooded(app{
		flood: "-flood=16",
		change: func(yaml string) string {
			yaml = s.replaced(yaml, `cpu: "1"`, "cpu: 100m")
			return s.replaced(yaml, "            - --admin-listen", unlimited+"            - --admin-listen")
		},
	}, 2*time.Minute)
}

func memoryLimit(s *space) saw { return s.flooded(app{flood: "-flood=500"}, time.Minute) }

func socketFlood(s *space) saw {
	seen := s.flooded(app{flood: "-flood=500, -address=unix:///run/chatidentity/chatidentity.sock", options: []string{"--unix-socket"}, change: func(yaml string) string {
		return s.replaced(yaml, "          securityContext:\n            runAsUser: 10002\n", `          volumeMounts:
            - name: chatidentity-socket
              mountPath: /run/chatidentity
              readOnly: true
          securityContext:
            runAsUser: 10002
`)
	}}, time.Minute)
	s.noFailure(seen.apps)
	return seen
}

// flooded runs an app beside a neighbour for a while. A busy sidecar must not be started again.
func (s *space) flooded(a app, length time.Duration) saw {
	s.Helper()
	s.chatSecret()
	s.deploy(a)
	p := s.awaitPods("app=shop", 1)[0]
	pid, err := cluster.PID(p.container("chatidentity").ContainerID)
	if err != nil {
		s.Fatal(err)
	}
	s.awaitReport(p, "the end of the flood", length+time.Minute, func(told report.Report) bool {
		return time.Since(told.Start) > length
	})
	s.restarts(p, 0)
	peak, err := node.PeakMemory(pid)
	if err != nil {
		s.Fatal(err)
	}
	seen := s.ask(p) // the neighbour reports under the same name
	s.kubectl("delete", "deployment", "shop")
	return saw{[]report.Report{seen}, fmt.Sprintf("no restart; %d MiB of 128 at most", peak>>20)}
}
