package cluster

import (
	"fmt"
	"syscall"
	"time"

	"github.com/chatidentity/chatidentity/deploy/cluster/report"
)

// stopRows end pods, or their sidecars, while the app asks for tokens.
var stopRows = []row{
	{"deletion", "two pods deleted; the app goes on asking for 2 s of its own shutdown", deletion},
	{"rolling update", "three replicas restarted, twice", rollingUpdate},
	{"SIGKILL", "the sidecar killed", sigkill},
	{"SIGSTOP", "the sidecar stopped, as if it hung", sigstop},
}

func deletion(s *space) saw {
	s.chatSecret()
	s.deploy(app{replicas: "2"})
	pods := s.awaitPods("app=shop", 2)
	s.awaitTokens(pods, 1000)
	s.kubectl("delete", "deployment", "shop")
	seen := s.last(pods)
	s.noFailure(seen)
	late := sum(seen).AfterTerm
	if late < 100 {
		s.Errorf("%d calls during the apps' shutdown", late)
	}
	return saw{seen, fmt.Sprintf("%d of the calls during the apps' own shutdown", late)}
}

func rollingUpdate(s *space) saw {
	s.chatSecret()
	s.deploy(app{replicas: "3"})
	var seen []report.Report
	pods := s.awaitPods("app=shop", 3)
	for range 2 {
		s.awaitTokens(pods, 500)
		s.kubectl("rollout", "restart", "deployment/shop")
		s.kubectl("rollout", "status", "deployment/shop", "--timeout=3m")
		seen = append(seen, s.last(pods)...)
		pods = s.awaitPods("app=shop", 3)
	}
	s.awaitTokens(pods, 500)
	s.kubectl("delete", "deployment", "shop")
	seen = append(seen, s.last(pods)...)
	s.noFailure(seen)
	return saw{seen, fmt.Sprintf("%d pods", len(seen))}
}

func sigkill(s *space) saw { return s.strike(syscall.SIGKILL, 5*time.Second) }

func sigstop(s *space) saw { return s.strike(syscall.SIGSTOP, 25*time.Second) }

// strike signals the sidecar of a pod under load. Kubernetes must replace it in time, and nothing
// else.
func (s *space) strike(signal syscall.Signal, bound time.Duration) saw {
	s.chatSecret()
	s.deploy(app{})
	p := s.awaitPods("app=shop", 1)[0]
	s.awaitTokens([]pod{p}, 500)
	s.signal(p, signal)
	failed := s.ask(p).Failed()
	s.awaitReport(p, "the loss", patience, func(told report.Report) bool { return told.Failed() > failed })
	s.awaitTokens([]pod{p}, 500)
	s.restarts(p, 1)
	s.kubectl("delete", "deployment", "shop")
	seen := s.last([]pod{p})
	if gap := sum(seen).LongestGap; gap > bound {
		s.Errorf("no token for %v, want %v at most", gap, bound)
	}
	return saw{seen, "one restart of the sidecar, none of the app"}
}

// signal signals a pod's sidecar.
func (s *space) signal(p pod, signal syscall.Signal) {
	s.Helper()
	pid, err := cluster.PID(p.container("chatidentity").ContainerID)
	if err == nil {
		err = syscall.Kill(pid, signal)
	}
	if err != nil {
		s.Fatal(err)
	}
}
